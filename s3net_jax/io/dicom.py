"""DICOM files and series, through pydicom: sorted by position, in physical units."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from s3net_jax.io.dicom_geometry import Frame, frames_of, functional, place
from s3net_jax.io.dicom_stream import check_frames, read_data_set
from s3net_jax.io.errors import InputError, broken
from s3net_jax.io.extras import need
from s3net_jax.io.quiet import quiet
from s3net_jax.io.read import check_file
from s3net_jax.io.volume import Volume, check_size

__all__ = ["is_dicom", "read_dicom", "series_of"]

_TAGS = ("SeriesInstanceUID", "Rows", "Columns", "SeriesNumber", "ImageOrientationPatient")
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_PADDING = -1500  # Hounsfield units below which a CT shows no matter, only filling


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM: by its suffix, or by the mark that follows the preamble."""
    if path.suffix.lower() in (".dcm", ".dicom", ".ima"):
        return True
    if path.suffix and not path.suffix[1:].isdecimal():  # names are often UIDs
        return False
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def series_of(files: Iterable[Path]) -> list[list[Path]]:
    """The files of each series together, in the order of their first files.

    Files of one folder belong together if series number and identifier, size and orientation are
    equal. A file that can't be read stands alone, and fails alone. Without pydicom every file
    stands alone.
    """
    groups: dict[Any, list[Path]] = {}
    for path in files:
        groups.setdefault(_series_key(path), []).append(path)
    return list(groups.values())


def _series_key(path: Path) -> Any:
    try:
        import pydicom

        with quiet():
            data = read_data_set(pydicom, path, stop_before_pixels=True, specific_tags=list(_TAGS))
            if "Rows" not in data:
                return path
            orientation = data.get("ImageOrientationPatient") or ()
            direction = tuple(round(float(v), 3) for v in orientation)
            key = [str(data.get(tag, "")) for tag in _TAGS[:4]]
            return (path.parent, *key, direction)
    except Exception:
        return path


def read_dicom(files: list[Path], name: str | None = None) -> Volume:
    """One series, or one file with one or several frames, as a volume.

    Values are rescaled (slope and intercept, of each frame if it has its own, or the modality's
    table); MONOCHROME1 is shown as a negative (``Volume.white_is_zero``); palettes and YBR become
    RGB. Slices are sorted along their normal; where two lie at the same place the first is kept.
    Filling outside a CT's field of view counts as air. A slice that can't be read is left out if
    others can, and a note says so.

    Raises:
      InputError: broken, without an image, frames of several sizes, too large; pydicom or a
        decoder is not installed.
    """
    name = str(files[0]) if name is None else name
    pydicom = need("pydicom", f"{name} is DICOM")
    notes: list[str] = []
    frames: list[Frame] = []
    problems: list[InputError] = []
    for path in files:
        try:
            frames += _read_file(pydicom, path)
        except InputError as error:
            problems.append(error)
    if not frames:
        raise problems[0]
    for problem in problems:
        notes.append(f"Left out: {problem}")
    sizes = {frame.pixels.shape for frame in frames}
    if len(sizes) > 1:
        raise InputError(f"{name} has images of {len(sizes)} sizes: give one series at a time.")
    height, width = frames[0].pixels.shape[:2]
    check_size(name, (width, height, len(frames)))
    frames, affine, more = place(frames, name)
    pixels = np.stack([frame.pixels for frame in frames])
    negative = [str(f.data.get("PhotometricInterpretation")) == "MONOCHROME1" for f in frames]
    if pixels.ndim == 3:
        pixels = _without_padding(pixels, frames)
        if any(negative) and not all(negative):
            pixels[negative] = pixels.max() + pixels.min() - pixels[negative]
    # (slices, rows, columns) → (columns, rows, slices), the order of the affine's axes.
    voxels = np.swapaxes(pixels, 0, 2)
    origin = [frame.data for frame in frames]
    notes += more
    return Volume(voxels, affine, name, files[0], "dicom", 2, origin, tuple(notes), all(negative))


def _read_file(pydicom: Any, path: Path) -> list[Frame]:
    check_file(path)
    name = str(path)
    try:
        with quiet():
            forced = path.suffix.lower() in (".dcm", ".dicom", ".ima")
            data = read_data_set(pydicom, path, force=forced)
            _drop_unreadable(data)
            if (
                not any(tag in data for tag in _PIXELS)
                or "Rows" not in data
                or "Columns" not in data
            ):
                raise InputError(f"{name} is DICOM without an image, or not DICOM at all.")
            if getattr(data.file_meta, "TransferSyntaxUID", None) is None:
                data.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
            count = int(data.get("NumberOfFrames") or 1)
            check_size(name, (int(data.Columns), int(data.Rows), count))
            _check_decoder(pydicom, data, name)
            check_frames(pydicom, data, path)
            pixels = _pixels(data)
            if pixels.ndim == (2 if int(data.get("SamplesPerPixel", 1)) == 1 else 3):
                pixels = pixels[None]
            return frames_of(data, pixels)
    except InputError:
        raise
    except MemoryError:
        raise InputError(f"{name} does not fit into memory: crop or split it first.") from None
    except Exception as error:  # a decoder that is missing, or anything on broken data
        raise broken(name, error) from error


def _drop_unreadable(data: Any) -> None:
    """Elements are parsed when they are asked for, and a broken one raises only then."""
    for tag in list(data.keys()):
        try:
            data[tag]
        except Exception:
            del data[tag]


def _pixels(data: Any) -> np.ndarray:
    """([frames,] rows, columns[, 3]): float32 in physical units, or uint8 RGB."""
    from pydicom.pixels.processing import apply_color_lut, apply_rescale
    from pydicom.pixels.utils import pixel_array

    kind = str(data.get("PhotometricInterpretation", "MONOCHROME2"))
    stored = pixel_array(data)  # YBR comes as RGB
    if kind == "PALETTE COLOR":
        return _to_8_bits(apply_color_lut(stored, data))
    if int(data.get("SamplesPerPixel", 1)) > 1:
        return _to_8_bits(stored)
    pixels = np.asarray(_rescaled(stored, data, apply_rescale), np.float32)
    if not np.isfinite(pixels).all():
        raise InputError(
            f"{data.filename} has values that are NaN, infinite or beyond ±3.4e38, the range of "
            "float32, after its rescale slope and intercept: repair or divide them first."
        )
    padding = data.get("PixelPaddingValue")
    if padding is not None:
        low, high = sorted((int(padding), int(data.get("PixelPaddingRangeLimit", padding))))
        filled = (stored >= low) & (stored <= high)
        if filled.any() and not filled.all():
            pixels = np.where(filled, pixels[~filled].min(), pixels)
    return pixels


def _rescaled(stored: np.ndarray, data: Any, apply_rescale: Any) -> np.ndarray:
    """Physical units: of each frame by its functional groups, or of all by the file's elements."""
    count = int(data.get("NumberOfFrames") or 1)
    group = "PixelValueTransformationSequence"
    slopes = [functional(data, n, group, "RescaleSlope") for n in range(count)]
    if all(slope is None for slope in slopes):
        return apply_rescale(stored, data)
    intercepts = [functional(data, n, group, "RescaleIntercept") for n in range(count)]
    scale = np.array([1.0 if slope is None else float(slope) for slope in slopes])
    shift = np.array([float(intercept or 0) for intercept in intercepts])
    frames = stored.reshape(count, *stored.shape[-2:]) * scale[:, None, None]
    return (frames + shift[:, None, None]).reshape(stored.shape)


def _check_decoder(pydicom: Any, data: Any, name: str) -> None:
    """A compression that nothing installed can read is no broken file."""
    syntax = data.file_meta.TransferSyntaxUID
    try:
        decoder = pydicom.pixels.get_decoder(syntax)
    except NotImplementedError:
        raise InputError(
            f"{name} is compressed as {syntax.name}, which is not read: save it uncompressed."
        ) from None
    if not decoder.is_available:
        raise InputError(
            f"{name} is compressed as {syntax.name}, for which a decoder is missing: pip install "
            "pylibjpeg-libjpeg or python-gdcm, or save it uncompressed."
        )


def _to_8_bits(colors: np.ndarray) -> np.ndarray:
    if colors.dtype == np.uint8:
        return colors
    return (colors >> (8 * (colors.dtype.itemsize - 1))).astype(np.uint8)


def _without_padding(pixels: np.ndarray, frames: list[Frame]) -> np.ndarray:
    """Values far below air, which CT scanners write outside their circle, become air."""
    modality = str(frames[0].data.get("Modality") or "CT")
    if modality == "CT" and pixels.min() <= _PADDING:
        return np.maximum(pixels, -1024)
    return pixels
