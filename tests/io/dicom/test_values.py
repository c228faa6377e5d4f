"""The same numbers give the same picture, however DICOM encodes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s3net_jax.io import InputError, read_dicom
from tests.dicom_objects import CT, MR, new_object, save_frames, save_object, save_slice

pydicom = pytest.importorskip("pydicom")

DISC = np.hypot(*(np.indices((44, 40)) - 20).astype(float)) < 15


def picture(padding: int) -> np.ndarray:
    """Signed numbers of 12 bits, with padding outside of a disc."""
    random = np.random.default_rng(0)
    values = random.integers(-900, 900, DISC.shape).astype(np.int16)
    values[~DISC] = padding
    return values


def save(path: Path, pixels: np.ndarray, **elements: Any) -> Path:
    return save_slice(path, pixels, **elements)


def read(path: Path) -> np.ndarray:
    return read_dicom([path]).voxels[..., 0].T


EXPECTED = np.where(DISC, picture(0), picture(0)[DISC].min()).astype(np.float32)


def transcode(path: Path, how: str) -> None:
    """Store a file again: implicit, big endian, or compressed."""
    from pydicom.uid import (
        ExplicitVRBigEndian,
        ImplicitVRLittleEndian,
        JPEG2000Lossless,
        JPEGLSLossless,
        RLELossless,
    )

    data = pydicom.dcmread(path)
    compressed = {"rle": RLELossless, "jpeg-ls": JPEGLSLossless, "jpeg2000": JPEG2000Lossless}
    if how in compressed:
        if how != "rle":
            pytest.importorskip({"jpeg-ls": "jpeg_ls", "jpeg2000": "openjpeg"}[how])
        data.compress(compressed[how], generate_instance_uid=False)
        data.save_as(path)
    elif how == "implicit":
        data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        pydicom.dcmwrite(path, data, implicit_vr=True, little_endian=True)
    elif how == "big":
        data.PixelData = np.frombuffer(data.PixelData, "<u2").astype(">u2").tobytes()
        data.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
        pydicom.dcmwrite(path, data, implicit_vr=False, little_endian=False)


@pytest.mark.parametrize("how", ["explicit", "implicit", "big", "rle", "jpeg-ls", "jpeg2000"])
@pytest.mark.parametrize(
    ("kind", "value", "padding"),
    [
        ("SS", -2000, -2000),
        ("US", 63536, -2000),
        ("US", 32768, -32768),
        ("SS", -32768, -32768),
        ("US", 2048, -2048),
    ],
)
def test_padding_in_any_representation(
    how: str, kind: str, value: int, padding: int, tmp_path: Path
) -> None:
    bits = 12 if padding > -2049 else 16
    path = save(
        tmp_path / "a.dcm",
        picture(padding),
        BitsStored=bits,
        HighBit=bits - 1,
        **{f"x00280120_{kind}": value},
    )
    transcode(path, how)
    np.testing.assert_array_equal(read(path), EXPECTED)


@pytest.mark.parametrize(
    "elements",
    [
        {"x00280120_US": 63536, "x00280121_US": 64036},
        {"x00280120_SS": -2000, "x00280121_SS": -1500},
        {"x00280120_SS": -1500, "x00280121_US": 63536},
        {"x00280120_IS": "-1800", "x00280121_DS": "-1700"},
        {"x00280120_UN": b"\x30\xf8", "x00280121_UN": b"\x24\xfa"},
        {"x00280120_US": [63536, 0], "x00280121_SS": -1500},
    ],
)
def test_a_range_of_padding(elements: dict[str, Any], tmp_path: Path) -> None:
    values = picture(-1800)
    values[0, :5] = -1700
    path = save(tmp_path / "a.dcm", values, **elements)
    np.testing.assert_array_equal(read(path), EXPECTED)


def test_unsigned_padding_written_as_signed(tmp_path: Path) -> None:
    values = (picture(0) + 1000).astype(np.uint16)
    values[~DISC] = 63536
    path = save(tmp_path / "a.dcm", values, x00280120_SS=-2000, RescaleIntercept=-1000)
    np.testing.assert_array_equal(read(path), EXPECTED)


def test_padding_outside_of_the_stored_bits(tmp_path: Path) -> None:
    path = save(tmp_path / "a.dcm", picture(-32768), BitsStored=12, HighBit=11, x00280120_SS=-32768)
    np.testing.assert_array_equal(read(path), EXPECTED)
    zeros = np.where(DISC, picture(0) // 2 * 2, 0).astype(np.int16)
    path = save(tmp_path / "b.dcm", zeros, BitsStored=12, HighBit=11, x00280120_SS=-32768)
    np.testing.assert_array_equal(read(path), zeros)


def test_padding_of_a_negative_is_black(tmp_path: Path) -> None:
    path = save(tmp_path / "a.dcm", picture(-2000), x00280120_US=63536)
    data = pydicom.dcmread(path)
    data.PhotometricInterpretation = "MONOCHROME1"
    data.save_as(path)
    volume = read_dicom([path])
    assert volume.white_is_zero
    assert (volume.voxels[..., 0].T[~DISC] == picture(0)[DISC].max()).all()


def test_a_slice_of_nothing_but_padding(tmp_path: Path) -> None:
    files = [
        save(tmp_path / f"{n}.dcm", pixels, z=2.0 * n, x00280120_US=32768, InstanceNumber=n)
        for n, pixels in enumerate([picture(-32768), np.full_like(picture(0), -32768)])
    ]
    voxels = read_dicom(files).voxels
    assert voxels.min() == EXPECTED.min() and (voxels[..., 1] == EXPECTED.min()).all()


def test_floating_point_padding(tmp_path: Path) -> None:
    values = np.where(DISC, picture(0), np.nan).astype(np.float32)
    for name, padding in (("nan", np.nan), ("number", -9999.0)):
        path = save(tmp_path / f"{name}.dcm", picture(0))
        data = pydicom.dcmread(path)
        del data.PixelData
        data.BitsAllocated = data.BitsStored = 32
        stored = np.where(DISC, values, np.float32(padding)).astype(np.float32)
        data.FloatPixelData, data.FloatPixelPaddingValue = stored.tobytes(), padding
        data.save_as(path)
        np.testing.assert_array_equal(read(path), EXPECTED)


@pytest.mark.parametrize("how", ["explicit", "implicit", "big", "rle"])
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("high", [11, 15, 13])
def test_bits_that_are_not_stored_are_ignored(
    how: str, signed: bool, high: int, tmp_path: Path
) -> None:
    """Overlays and garbage are in cells of 16 bits beside pixels of 12."""
    sitk = pytest.importorskip("SimpleITK")
    values = picture(-2000) if signed else (picture(-1000) + 1000).astype(np.uint16)
    shift = high - 11
    cells = (values.astype(np.int64) & 0xFFF) << shift
    garbage = np.random.default_rng(1).integers(0, 1 << 16, values.shape)
    cells |= garbage & ~(0xFFF << shift) & 0xFFFF
    cells = cells.astype(np.uint16).view(values.dtype)
    path = save(tmp_path / "a.dcm", cells, BitsStored=12, HighBit=high)
    transcode(path, how)
    np.testing.assert_array_equal(read(path), values)
    if how == "explicit" and high == 11:  # GDCM drops the high bits as well
        found = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[0]
        np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("compress", [None, "rle", "jpeg-ls", "jpeg2000"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
def test_values_as_pydicom_and_simpleitk_read_them(
    compress: str | None, dtype: Any, tmp_path: Path
) -> None:
    sitk = pytest.importorskip("SimpleITK")
    low, high = (0, 255) if dtype == np.uint8 else (-1000, 3000) if dtype == np.int16 else (0, 4000)
    pixels = np.random.default_rng(0).integers(low, high, (40, 44)).astype(dtype)
    path = save(tmp_path / "a.dcm", pixels, RescaleSlope="2.5", RescaleIntercept="-1024")
    if compress:
        transcode(path, compress)
    expected = pydicom.dcmread(path).pixel_array * 2.5 - 1024
    np.testing.assert_allclose(read(path), expected)
    found = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[0]
    np.testing.assert_allclose(read(path), found)


@pytest.mark.parametrize(
    ("elements", "factor", "shift"),
    [
        ({"RescaleSlope": "", "RescaleIntercept": ""}, 1, 0),
        ({"RescaleSlope": "0", "RescaleIntercept": "-1024"}, 1, -1024),
        ({"RescaleIntercept": "-1024"}, 1, -1024),
        ({"RescaleSlope": "2"}, 2, 0),
        ({"x00281053_FD": 2.0, "x00281052_FD": -10.0}, 2, -10),
    ],
)
def test_half_a_rescaling(
    elements: dict[str, Any], factor: float, shift: float, tmp_path: Path
) -> None:
    values = picture(-2000)
    path = save(tmp_path / "a.dcm", values, **elements)
    np.testing.assert_array_equal(read(path), values * factor + shift)


def test_colours_of_12_bits(tmp_path: Path) -> None:
    colors = np.random.default_rng(0).integers(0, 4096, (10, 12, 3)).astype(np.uint16)
    data = new_object("1.2.840.10008.5.1.4.1.1.77.1.4", Modality="XC", InstanceNumber=1)
    data.Rows, data.Columns, data.SamplesPerPixel, data.PlanarConfiguration = 10, 12, 3, 0
    data.PhotometricInterpretation, data.PixelRepresentation = "RGB", 0
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
    data.PixelData = colors.tobytes()
    path = save_object(tmp_path / "a.dcm", data)
    voxels = read_dicom([path]).voxels[:, :, 0]
    np.testing.assert_array_equal(voxels.transpose(1, 0, 2), colors >> 4)


@pytest.mark.parametrize("scale", [1, 257])
def test_a_palette(scale: int, tmp_path: Path) -> None:
    """Tables of 8-bit colours come in cells of 16 bits, full or not."""
    table = np.random.default_rng(0).integers(0, 256, (3, 16)).astype(np.uint16)
    table[0, 0] = 255
    stored = np.random.default_rng(1).integers(0, 16, (10, 12)).astype(np.uint8)
    path = save(tmp_path / "a.dcm", stored)
    data = pydicom.dcmread(path)
    data.PhotometricInterpretation = "PALETTE COLOR"
    for name, colors in zip(("Red", "Green", "Blue"), table, strict=True):
        data.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [16, 0, 16])
        setattr(data, f"{name}PaletteColorLookupTableData", (colors * scale).tobytes())
    data.save_as(path)
    found = read_dicom([path]).voxels[:, :, 0].transpose(1, 0, 2)
    np.testing.assert_array_equal(found, table[:, stored].transpose(1, 2, 0))


def strip_preamble_and_meta(path: Path) -> None:
    """Without the preamble, the mark and the file meta information."""
    content = path.read_bytes()
    path.write_bytes(content[content.index(b"\x08\x00\x16\x00") :])


def strip_preamble(path: Path) -> None:
    path.write_bytes(path.read_bytes()[132:])


def strip_syntax(path: Path) -> None:
    data = pydicom.dcmread(path)
    del data.file_meta.TransferSyntaxUID
    pydicom.dcmwrite(path, data, implicit_vr=False, little_endian=True, enforce_file_format=False)


def append_bytes(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0" * 17)


def pad_pixels(path: Path) -> None:
    data = pydicom.dcmread(path)
    data.PixelData += b"\0" * 6
    data.save_as(path)


def _make_remover(*tags: str) -> Any:
    def change(path: Path) -> None:
        data = pydicom.dcmread(path)
        for tag in tags:
            delattr(data, tag)
        data.save_as(path)

    change.__name__ = "without_" + "_".join(tags)
    return change


def _make_setter(tag: str, kind: str, value: Any) -> Any:
    def change(path: Path) -> None:
        data = pydicom.dcmread(path)
        data[tag] = pydicom.DataElement(tag, kind, value)
        data.save_as(path)

    change.__name__ = f"{tag}_{kind}"
    return change


@pytest.mark.parametrize(
    "change",
    [
        *(strip_preamble_and_meta, strip_preamble, strip_syntax, append_bytes, pad_pixels),
        *(
            _make_remover("Modality"),
            _make_remover("PhotometricInterpretation"),
            _make_remover("SamplesPerPixel"),
        ),
        *(
            _make_remover("BitsStored"),
            _make_remover("HighBit"),
            _make_remover("BitsStored", "HighBit"),
        ),
        *(
            _make_remover("PixelRepresentation"),
            _make_remover("SOPClassUID"),
            _make_remover("InstanceNumber"),
        ),
        *(
            _make_remover("SOPInstanceUID"),
            _make_remover("PixelSpacing"),
            _make_remover("SliceThickness"),
        ),
        *(_make_setter("NumberOfFrames", "IS", "1 "), _make_setter("NumberOfFrames", "LO", "1")),
        *(
            _make_setter("NumberOfFrames", "IS", ""),
            _make_setter("PixelData", "OB", picture(0).tobytes()),
        ),
        *(
            _make_setter("Rows", "SS", 44),
            _make_setter("Rows", "UL", 44),
            _make_setter("BitsStored", "SS", 16),
        ),
        *(_make_setter("InstanceNumber", "IS", ""), _make_setter("InstanceNumber", "LO", "x")),
        *(_make_setter("PhotometricInterpretation", "CS", "MONOCHROME2 "),),
        *(_make_setter("ImagePositionPatient", "LO", ["-8", "-8", "0"]),),
        *(_make_setter("PixelSpacing", "LO", "1"), _make_setter("WindowCenter", "LO", "abc")),
    ],
    ids=lambda change: change.__name__,
)
@pytest.mark.parametrize("name", ["a.dcm", "IM0001", "1.2.3.77"])
def test_files_out_of_form_that_others_read(change: Any, name: str, tmp_path: Path) -> None:
    from s3net_jax.io.dicom.files import is_dicom, survey

    values = picture(0).astype(np.uint16) & 0x7FFF
    path = save(tmp_path / name, values)
    change(path)
    if change.__name__ == "PixelData_OB":
        values = picture(0).view(np.uint16)
    np.testing.assert_array_equal(read(path), values)
    assert is_dicom(path)
    found = survey([path])
    assert list(found.volumes) == [path] and not found.bystanders


def test_the_class_determines_the_modality(tmp_path: Path) -> None:
    """Filling becomes air in CT, and stays in MR, when Modality is missing."""
    for name, kind, low in (("ct", CT, -1024), ("mr", MR, -2000)):
        path = save(tmp_path / f"{name}.dcm", picture(-2000), sop_class=kind, Modality=None)
        assert read(path).min() == low


def test_only_broken_files_are_called_broken(tmp_path: Path) -> None:
    path = save(tmp_path / "a.dcm", picture(0))
    whole = path.read_bytes()
    path.write_bytes(whole[:-400])
    with pytest.raises(InputError, match="broken or cut off"):
        read_dicom([path])
    data = pydicom.dcmread(save(path, picture(0)))
    data.BitsAllocated = data.BitsStored = 12  # packed, as in the ACR-NEMA standard
    data.save_as(path)
    with pytest.raises(InputError, match="12 bits per sample, which is not supported: save it"):
        read_dicom([path])


def test_a_high_bit_that_no_pixel_reaches(tmp_path: Path) -> None:
    values = picture(-1000)
    path = save(tmp_path / "a.dcm", values, BitsStored=12, HighBit=15)
    np.testing.assert_array_equal(read(path), values)


def test_enhanced_padding(tmp_path: Path) -> None:
    each = [{"PlanePositionSequence": {"ImagePositionPatient": [0, 0, 2.0 * n]}} for n in range(3)]
    pixels = np.stack([picture(-32768)] * 3)
    path = save_frames(tmp_path / "a.dcm", each, pixels, x00280120_US=32768)
    voxels = read_dicom([path]).voxels
    assert (voxels == EXPECTED.T[..., None]).all()
