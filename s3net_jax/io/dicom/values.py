"""Convert DICOM pixels to values: stored bits, padding, physical units, colours."""

from __future__ import annotations

from typing import Any

import numpy as np

from s3net_jax.errors import InputError
from s3net_jax.io.dicom.geometry import find_functional

__all__ = ["complete", "fill_padding", "find_modality", "read_values"]

# Hounsfield units at or below which a CT has no matter: scanners write such values outside their
# circular field of view. They are raised to air.
_NO_MATTER = -1500
_AIR = -1024
_CT = "1.2.840.10008.5.1.4.1.1.2"
_RLE = "1.2.840.10008.1.2.5"  # keeps all bits of a cell; other compressions keep only values


def complete(data: Any, name: str) -> list[str]:
    """Add missing elements that describe the pixels, with the values that other readers assume.

    Args:
      data: data set, changed in place.
      name: name of the file in errors.

    Returns:
      Names of the elements whose values are guesses.

    Raises:
      InputError: the pixel format is not supported.
    """
    guessed = []

    def put(tag: str, value: Any, is_guess: bool = True) -> None:
        setattr(data, tag, value)
        if is_guess:
            guessed.append(tag)

    kind = str(data.get("PhotometricInterpretation") or "").strip()
    samples = _read_integer(data, "SamplesPerPixel")
    if not samples:
        samples = 3 if kind.startswith(("RGB", "YBR")) else 1
        put("SamplesPerPixel", samples)
    if samples not in (1, 3):
        raise InputError(
            f"{name} has {samples} samples per pixel, not 1 or 3: save it as grey or RGB."
        )
    if not kind:
        put("PhotometricInterpretation", "MONOCHROME2" if samples == 1 else "RGB")
    if samples == 3 and data.get("PlanarConfiguration") is None:
        put("PlanarConfiguration", 0)
    count = _read_integer(data, "NumberOfFrames")
    if "NumberOfFrames" in data and (not isinstance(data.NumberOfFrames, int) or not count):
        put("NumberOfFrames", count if count and count > 0 else 1, False)
    allocated = _read_integer(data, "BitsAllocated")
    if not allocated:
        pixels = int(data.Rows) * int(data.Columns) * samples * int(data.get("NumberOfFrames") or 1)
        allocated = 8 if len(data.get("PixelData") or b"") < 2 * pixels else 16
        put("BitsAllocated", allocated)
    if allocated not in (1, 8, 16, 32, 64):
        raise InputError(
            f"{name} has {allocated} bits per sample, which is not supported: save it with 8 or 16."
        )
    bits = _read_integer(data, "BitsStored")
    if not bits or not 0 < bits <= allocated:
        put("BitsStored", allocated)
    if data.get("HighBit") is None:
        put("HighBit", data.BitsStored - 1, False)
    if data.get("PixelRepresentation") is None and "PixelData" in data:
        put("PixelRepresentation", 0)
    return guessed


def find_modality(data: Any) -> str:
    """Return the modality; if missing, CT if the SOP class says so or is missing, else empty."""
    found = str(data.get("Modality") or "").strip()
    kind = str(data.get("SOPClassUID") or "")
    return found or ("CT" if not kind or kind.startswith(_CT) else "")


def read_values(data: Any) -> tuple[np.ndarray, bool]:
    """Read the pixels of a data set.

    Bits outside of Bits Stored (overlays, garbage) are ignored. Padding becomes the darkest other
    value.

    Returns:
      Pixels, ([frames,] rows, columns[, 3]), float32 in physical units or uint8 RGB; and whether
      all pixels are padding.

    Raises:
      InputError: a value is NaN, infinite or outside the range of float32.
      Exception: any exception from the decoders for broken data.
    """
    from pydicom.pixels.processing import apply_color_lut
    from pydicom.pixels.utils import pixel_array

    kind = str(data.get("PhotometricInterpretation") or "MONOCHROME2").strip()
    is_color = int(data.get("SamplesPerPixel") or 1) > 1
    if kind == "PALETTE COLOR" and not is_color:
        return _convert_to_8_bits(
            apply_color_lut(_unpack_stored(pixel_array, data)[1], data), 0
        ), False
    if is_color:  # pydicom converts YBR to RGB
        return _convert_to_8_bits(pixel_array(data), int(data.get("BitsStored") or 0)), False
    cells, stored = _unpack_stored(pixel_array, data)
    padding = _find_padding(cells, stored, data)
    pixels = _rescale(stored, data)
    kept = pixels if padding is None else pixels[~padding]
    if not np.isfinite(kept).all():
        raise InputError(
            f"{data.filename} has values that are NaN, infinite or outside ±3.4e38, the range of "
            "float32, after applying its rescale slope and intercept: repair or divide them first."
        )
    if padding is None or not padding.any():
        return pixels, False
    if padding.all():
        return np.where(np.isfinite(pixels), pixels, 0), True
    # Padding is shown black. In MONOCHROME1 the smallest value is white, so black is the largest.
    dark = kept.max() if kind == "MONOCHROME1" else kept.min()
    return np.where(padding, dark, pixels), False


def _unpack_stored(pixel_array: Any, data: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the cells as stored in the file, and the numbers in their Bits Stored."""
    from pydicom.uid import JPEG2000TransferSyntaxes

    if "PixelData" not in data:
        pixels = pixel_array(data)
        return pixels, pixels
    cells = pixel_array(data, correct_unused_bits=False)
    allocated = 8 * cells.dtype.itemsize
    bits = int(data.get("BitsStored") or allocated)
    if int(data.get("BitsAllocated") or 0) != allocated or not 0 < bits < allocated:
        return cells, cells  # single-bit pixels, or all bits are in use
    syntax = data.file_meta.TransferSyntaxUID
    if syntax in JPEG2000TransferSyntaxes:  # the codestream has its own precision
        return cells, cells
    high = bits - 1
    if not syntax.is_compressed or syntax == _RLE:
        high = int(data.get("HighBit") or 0)
        if not bits <= high < allocated or (_sign_extend(cells, bits - 1, bits) == cells).all():
            high = bits - 1  # the usual value, also if no pixel uses the bits up to HighBit
    return cells, _sign_extend(cells, high, bits)


def _sign_extend(cells: np.ndarray, high: int, bits: int) -> np.ndarray:
    """Return the numbers in the ``bits`` bits from bit ``high`` downwards."""
    allocated = 8 * cells.dtype.itemsize
    # The left shift drops the bits above; the right shift of signed cells extends the sign.
    return np.right_shift(np.left_shift(cells, allocated - 1 - high), allocated - bits)


def _find_padding(cells: np.ndarray, stored: np.ndarray, data: Any) -> np.ndarray | None:
    """Return a mask of padding (PS3.3 C.7.5.1.1.2), or None if the file defines none.

    The value and range limit are converted to the representation of the pixels, since files may
    store them in another one: 63536 means −2000 for signed 16-bit pixels.
    """
    if "PixelData" not in data:
        for kind in ("FloatPixelPadding", "DoubleFloatPixelPadding"):
            value = _read_number(data.get(f"{kind}Value"))
            if value is None:
                continue
            if not np.isfinite(value):
                return ~np.isfinite(stored)
            limit = _read_number(data.get(f"{kind}RangeLimit"))
            low, high = sorted((value, value if limit is None else limit))
            return (stored >= np.float32(low)) & (stored <= np.float32(high))
        return None
    value, limit = (_read_integer(data, f"PixelPadding{end}") for end in ("Value", "RangeLimit"))
    if value is None:
        return None
    limit = value if limit is None else limit
    signed = cells.dtype.kind == "i"
    allocated = 8 * cells.dtype.itemsize
    bits = min(int(data.get("BitsStored") or allocated), allocated)
    low, high = sorted(_wrap(number, allocated, signed) for number in (value, limit))
    smallest, largest = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    if smallest <= low and high <= largest:
        return (stored >= low) & (stored <= high)
    # Padding outside the range of Bits Stored may still be in the cells.
    found = (cells >= low) & (cells <= high)
    if found.any():
        return found
    low, high = sorted(_wrap(number, bits, signed) for number in (value, limit))
    if 0 <= value < 2**bits and 0 <= limit < 2**bits:  # written without sign extension
        return (stored >= low) & (stored <= high)
    return None


def _wrap(number: int, bits: int, signed: bool) -> int:
    number %= 2**bits
    return number - 2**bits if signed and number >= 2 ** (bits - 1) else number


def _read_integer(data: Any, tag: str) -> int | None:
    value = data.get(tag)
    if isinstance(value, (bytes, bytearray)):  # stored with a VR that is not numeric
        little = data.file_meta.TransferSyntaxUID.is_little_endian
        return int.from_bytes(value[:2], "little" if little else "big") if value else None
    number = _read_number(value)
    return int(number) if number is not None and np.isfinite(number) else None


def _read_number(value: Any) -> float | None:
    """Return the first number of an element of any VR, or None if there is none."""
    if value is None or isinstance(value, (bytes, bytearray)):
        return None
    if not isinstance(value, (str, int, float)):
        value = next(iter(value), None) if np.iterable(value) else value
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None


def _rescale(stored: np.ndarray, data: Any) -> np.ndarray:
    """Convert stored numbers to physical units, float32.

    Slope and intercept from functional groups have priority, then the file's modality LUT, then
    its slope and intercept.
    """
    from pydicom.pixels.processing import apply_modality_lut

    count = int(data.get("NumberOfFrames") or 1)
    group = "PixelValueTransformationSequence"
    slopes = [find_functional(data, n, group, "RescaleSlope") for n in range(count)]
    if any(slope is not None for slope in slopes):
        intercepts = [find_functional(data, n, group, "RescaleIntercept") for n in range(count)]
        scale = np.array([_read_slope(slope) for slope in slopes])
        shift = np.array([_read_number(intercept) or 0.0 for intercept in intercepts])
        frames = stored.reshape(count, *stored.shape[-2:]) * scale[:, None, None]
        return np.asarray(frames + shift[:, None, None], np.float32).reshape(stored.shape)
    if data.get("ModalityLUTSequence"):
        return np.asarray(apply_modality_lut(stored, data), np.float32)
    slope, intercept = (
        _read_slope(data.get("RescaleSlope")),
        _read_number(data.get("RescaleIntercept")),
    )
    if slope == 1 and not intercept:
        return np.asarray(stored, np.float32)
    return np.asarray(stored.astype(np.float64) * slope + (intercept or 0.0), np.float32)


def _read_slope(value: Any) -> float:
    """Return the slope; 1 if it is missing, blank, or 0, which would make all values equal."""
    return _read_number(value) or 1.0


def _convert_to_8_bits(colors: np.ndarray, bits: int) -> np.ndarray:
    """Return the upper 8 of the stored bits; ``bits`` is 0 for palettes, which do not give them."""
    if colors.dtype == np.uint8:
        return colors
    width = 8 * colors.dtype.itemsize
    if not 8 <= bits <= width:
        # Palettes with 8-bit colours are often stored in 16-bit entries.
        bits = 8 if colors.size and colors.max() < 256 else width
    return (np.minimum(colors, 2**bits - 1) >> (bits - 8)).astype(np.uint8)


def fill_padding(pixels: np.ndarray, padding: np.ndarray, modality: str) -> np.ndarray:
    """Fill slices that consist of padding with the darkest value of the other slices.

    Args:
      pixels: values, (slices, rows, columns); may be changed in place.
      padding: whether all pixels of a slice are padding, (slices,).
      modality: modality of the images; in ``CT``, values far below air become air.

    Returns:
      The filled values.
    """
    if padding.any() and not padding.all():
        pixels[padding] = pixels[~padding].min()
    if modality == "CT" and pixels.min() <= _NO_MATTER:
        return np.maximum(pixels, _AIR)
    return pixels
