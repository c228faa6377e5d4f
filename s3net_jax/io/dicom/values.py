"""The numbers in DICOM's pixels: stored bits, padding, physical units, colours."""

from __future__ import annotations

from typing import Any

import numpy as np

from s3net_jax.errors import InputError
from s3net_jax.io.dicom.geometry import find_functional

__all__ = ["complete", "fill_padding", "find_modality", "read_values"]

_NO_MATTER = -1500  # Hounsfield units: CT scanners write such numbers outside their circle
_AIR = -1024
_CT = "1.2.840.10008.5.1.4.1.1.2"
_RLE = "1.2.840.10008.1.2.5"  # keeps the bits of a cell, where other compressions keep values


def complete(data: Any, name: str) -> list[str]:
    """Add elements that describe the pixels where they are missing, as other readers assume them.

    Returns:
      The names of those that are guesses.

    Raises:
      InputError: pixels of a kind that is not read.
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
            f"{name} has {samples} samples a pixel, not 1 or 3: save it as grey or RGB."
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
            f"{name} has pixels in {allocated} bits each, which is not read: save it with 8 or 16."
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
    """Modality; where it is missing, what the class of the image says, or else CT."""
    found = str(data.get("Modality") or "").strip()
    kind = str(data.get("SOPClassUID") or "")
    return found or ("CT" if not kind or kind.startswith(_CT) else "")


def read_values(data: Any) -> tuple[np.ndarray, bool]:
    """Read the pixels of a data set.

    Bits outside of Bits Stored (overlays, garbage) are ignored. Padding becomes the darkest value
    beside it.

    Returns:
      ([frames,] rows, columns[, 3]), float32 in physical units or uint8 RGB; and whether all of
      them are padding.
    """
    from pydicom.pixels.processing import apply_color_lut
    from pydicom.pixels.utils import pixel_array

    kind = str(data.get("PhotometricInterpretation") or "MONOCHROME2").strip()
    is_color = int(data.get("SamplesPerPixel") or 1) > 1
    if kind == "PALETTE COLOR" and not is_color:
        return _convert_to_8_bits(
            apply_color_lut(_unpack_stored(pixel_array, data)[1], data), 0
        ), False
    if is_color:  # YBR comes as RGB
        return _convert_to_8_bits(pixel_array(data), int(data.get("BitsStored") or 0)), False
    cells, stored = _unpack_stored(pixel_array, data)
    padding = _find_padding(cells, stored, data)
    pixels = _rescale(stored, data)
    kept = pixels if padding is None else pixels[~padding]
    if not np.isfinite(kept).all():
        raise InputError(
            f"{data.filename} has values that are NaN, infinite or beyond ±3.4e38, the range of "
            "float32, after its rescale slope and intercept: repair or divide them first."
        )
    if padding is None or not padding.any():
        return pixels, False
    if padding.all():
        return np.where(np.isfinite(pixels), pixels, 0), True
    # White is the smallest value of a negative, so black, as padding is shown, the largest.
    dark = kept.max() if kind == "MONOCHROME1" else kept.min()
    return np.where(padding, dark, pixels), False


def _unpack_stored(pixel_array: Any, data: Any) -> tuple[np.ndarray, np.ndarray]:
    """The cells as they are in the file, and the numbers in their stored bits."""
    from pydicom.uid import JPEG2000TransferSyntaxes

    if "PixelData" not in data:
        pixels = pixel_array(data)
        return pixels, pixels
    cells = pixel_array(data, correct_unused_bits=False)
    allocated = 8 * cells.dtype.itemsize
    bits = int(data.get("BitsStored") or allocated)
    if int(data.get("BitsAllocated") or 0) != allocated or not 0 < bits < allocated:
        return cells, cells  # single bits, or all of them
    syntax = data.file_meta.TransferSyntaxUID
    if syntax in JPEG2000TransferSyntaxes:  # the code stream has its own precision and sign
        return cells, cells
    high = bits - 1
    if not syntax.is_compressed or syntax == _RLE:
        high = int(data.get("HighBit") or 0)
        if not bits <= high < allocated or (_sign_extend(cells, bits - 1, bits) == cells).all():
            high = bits - 1  # the usual one, also where no pixel reaches the bit that is given
    return cells, _sign_extend(cells, high, bits)


def _sign_extend(cells: np.ndarray, high: int, bits: int) -> np.ndarray:
    """The numbers in ``bits`` bits from bit ``high`` downwards."""
    allocated = 8 * cells.dtype.itemsize
    # To the top, where the bits above fall off, and back, where the sign is drawn along.
    return np.right_shift(np.left_shift(cells, allocated - 1 - high), allocated - bits)


def _find_padding(cells: np.ndarray, stored: np.ndarray, data: Any) -> np.ndarray | None:
    """Where pixels are padding (PS3.3 C.7.5.1.1.2); None if the file defines none.

    The two elements are compared in the pixels' own representation, whatever the one they were
    written in: 63536 is -2000 for signed pixels of 16 bits.
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
    # Padding outside of the stored bits: cells may hold it all the same.
    found = (cells >= low) & (cells <= high)
    if found.any():
        return found
    low, high = sorted(_wrap(number, bits, signed) for number in (value, limit))
    if 0 <= value < 2**bits and 0 <= limit < 2**bits:  # written without the bits of the sign
        return (stored >= low) & (stored <= high)
    return None


def _wrap(number: int, bits: int, signed: bool) -> int:
    number %= 2**bits
    return number - 2**bits if signed and number >= 2 ** (bits - 1) else number


def _read_integer(data: Any, tag: str) -> int | None:
    value = data.get(tag)
    if isinstance(value, (bytes, bytearray)):  # of a representation that has no numbers
        little = data.file_meta.TransferSyntaxUID.is_little_endian
        return int.from_bytes(value[:2], "little" if little else "big") if value else None
    number = _read_number(value)
    return int(number) if number is not None and np.isfinite(number) else None


def _read_number(value: Any) -> float | None:
    """The first number of an element, whatever its representation; None if there is none."""
    if value is None or isinstance(value, (bytes, bytearray)):
        return None
    if not isinstance(value, (str, int, float)):
        value = next(iter(value), None) if np.iterable(value) else value
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None


def _rescale(stored: np.ndarray, data: Any) -> np.ndarray:
    """Physical units as float32: by the frame's functional groups, the file's table, or slope and
    intercept."""
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
    """1 where the element is missing, blank or 0, which would leave no picture."""
    return _read_number(value) or 1.0


def _convert_to_8_bits(colors: np.ndarray, bits: int) -> np.ndarray:
    """The upper 8 of the stored bits; of a table's colours (``bits`` 0) of those in use."""
    if colors.dtype == np.uint8:
        return colors
    width = 8 * colors.dtype.itemsize
    if not 8 <= bits <= width:
        # Tables of 8-bit colours are often written in cells of 16.
        bits = 8 if colors.size and colors.max() < 256 else width
    return (np.minimum(colors, 2**bits - 1) >> (bits - 8)).astype(np.uint8)


def fill_padding(pixels: np.ndarray, padding: np.ndarray, modality: str) -> np.ndarray:
    """Fill what is padding by a volume's other slices.

    Args:
      pixels: (slices, rows, columns) numbers.
      padding: (slices,) whether a slice holds nothing but padding; it gets the darkest value.
      modality: of a ``CT``, values far below air become air.
    """
    if padding.any() and not padding.all():
        pixels[padding] = pixels[~padding].min()
    if modality == "CT" and pixels.min() <= _NO_MATTER:
        return np.maximum(pixels, _AIR)
    return pixels
