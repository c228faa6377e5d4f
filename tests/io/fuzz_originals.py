"""A small good file of every format and kind that is read, for :mod:`tests.io.fuzz_formats`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image as PilImage

from tests.volumes import ball, save_dicom, save_nifti

__all__ = ["write_originals"]


def write_originals(folder: Path) -> list[Path]:
    """Write the files into ``folder``; return them in order."""
    random = np.random.default_rng(0)
    smooth = np.kron(random.random((6, 7, 3)), np.ones((12, 12, 1))) * 200
    rgb = (smooth + random.random(smooth.shape) * 40).astype(np.uint8)
    _write_pictures(folder, rgb)
    _write_tiffs(folder, rgb)
    values, _ = ball((33, 36, 5))
    _write_volumes(folder, values)
    _write_data_sets(folder, values)
    return sorted(p for p in folder.iterdir() if p.is_file())


def _write_pictures(folder: Path, rgb: np.ndarray) -> None:
    color, grey = PilImage.fromarray(rgb), PilImage.fromarray(rgb[..., 0])
    opacity = PilImage.fromarray(np.dstack([rgb, rgb[..., :1]]))
    frames: dict[str, Any] = {"save_all": True, "append_images": [color.rotate(90)] * 3}
    for name in ("png", "jpg", "bmp", "gif", "webp", "ppm"):
        color.save(folder / f"color.{name}")
    grey.save(folder / "grey.pgm")
    grey.quantize(16).save(folder / "palette.png")
    opacity.save(folder / "opacity.png")
    PilImage.fromarray(rgb[..., 0].astype(np.uint16) * 200).save(folder / "deep.png")
    color.save(folder / "frames.gif", **frames)
    color.save(folder / "frames.png", **frames)
    color.save(folder / "frames.webp", **frames)
    color.save(folder / "lossless.webp", lossless=True)
    color.save(folder / "progressive.jpg", progressive=True)
    color.convert("CMYK").save(folder / "cmyk.jpg")
    grey.save(folder / "grey.bmp")


def _write_tiffs(folder: Path, rgb: np.ndarray) -> None:
    color, grey = PilImage.fromarray(rgb), PilImage.fromarray(rgb[..., 0])
    color.save(folder / "color.tif")
    color.save(folder / "lzw.tif", compression="tiff_lzw")
    color.save(folder / "jpeg.tif", compression="jpeg")
    grey.save(folder / "pages.tif", save_all=True, append_images=[grey] * 4)
    PilImage.fromarray((rgb[..., 0].astype(np.int32) - 100) * 20).save(folder / "signed.tif")
    wide = rgb.astype(np.float64).transpose(2, 0, 1)
    options: dict[str, dict[str, Any]] = {
        "planes": {"data": wide.astype(np.uint32), "compression": "zlib", "predictor": True,
                   "tile": (32, 48), "photometric": "rgb", "planarconfig": "separate"},
        "doubles": {"data": np.stack([wide[0]] * 3), "photometric": "miniswhite"},
        "big": {"data": wide[0].astype(np.uint16), "bigtiff": True, "byteorder": ">",
                "compression": "zlib", "rowsperstrip": 7},
        "xz": {"data": wide[0].astype(np.float32), "compression": "lzma"},
        "zstd": {"data": wide[0].astype(np.int16), "compression": "zstd", "tile": (32, 32)},
        "j2k": {"data": wide[0].astype(np.uint16), "compression": "jpeg2000"},
        "imagej": {"data": np.stack([wide[0]] * 4).astype(np.uint16), "imagej": True},
    }  # fmt: skip
    for name, more in options.items():
        tifffile.imwrite(folder / f"{name}.tif", more.pop("data"), **more)


def _write_volumes(folder: Path, values: np.ndarray) -> None:
    import nibabel as nib
    from nibabel.nifti1 import Nifti1Extension

    save_nifti(folder / "shorts.nii", values)
    save_nifti(folder / "packed.nii.gz", values)
    save_nifti(folder / "scaled.nii.gz", values, scl_slope=0.5, scl_inter=3)
    save_nifti(folder / "floats.nii", values.astype(np.float32))
    save_nifti(folder / "series.nii.gz", np.stack([values] * 3, -1))
    image = nib.Nifti1Image(values, np.diag([1.0, 2, 3, 1]))
    image.header.extensions.append(Nifti1Extension("comment", b"a comment" * 20))
    nib.save(image, folder / "extension.nii")
    nib.save(nib.Nifti2Image(values, np.eye(4)), folder / "second.nii.gz")


def _write_data_sets(folder: Path, values: np.ndarray) -> None:
    import pydicom
    from pydicom import uid

    def data() -> Any:
        (path,) = save_dicom(folder / "scratch", values[..., :1])
        found = pydicom.dcmread(path)
        path.unlink()
        return found

    def save(name: str, data: Any) -> None:
        data.save_as(folder / f"{name}.dcm", enforce_file_format=True)

    save("plain", data())
    for name, syntax in (
        ("rle", uid.RLELossless), ("j2k", uid.JPEG2000Lossless), ("ls", uid.JPEGLSLossless),
    ):  # fmt: skip
        packed = data()
        packed.compress(syntax, generate_instance_uid=False)
        save(name, packed)
    deflated = data()
    deflated.file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian
    save("deflated", deflated)
    save("jpeg", _make_jpeg(data(), values))
    save("multi", _make_frames(data(), values))
    packed = _make_frames(data(), values)
    packed.compress(uid.RLELossless, generate_instance_uid=False)
    save("multi-rle", packed)
    (folder / "scratch").rmdir()


def _make_jpeg(data: Any, values: np.ndarray) -> Any:
    from pydicom.encaps import encapsulate
    from pydicom.uid import JPEGBaseline8Bit

    out = io.BytesIO()
    grey = (values[..., 0].T % 256).astype(np.uint8)
    PilImage.fromarray(grey).save(out, "JPEG")
    data.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit = 7
    data.PixelData = encapsulate([out.getvalue()])
    data["PixelData"].VR = "OB"
    data["PixelData"].is_undefined_length = True
    return data


def _make_frames(data: Any, values: np.ndarray) -> Any:
    """An enhanced CT: positions in functional groups."""
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence
    from pydicom.uid import EnhancedCTImageStorage

    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    data.NumberOfFrames = values.shape[2]
    data.PixelData = (values + 1024).astype(np.uint16).T.tobytes()
    items = []
    for n in range(values.shape[2]):
        place, item = Dataset(), Dataset()
        place.ImagePositionPatient = [0.0, 0.0, 2.5 * n]
        item.PlanePositionSequence = Sequence([place])
        items.append(item)
    data.PerFrameFunctionalGroupsSequence = Sequence(items)
    return data
