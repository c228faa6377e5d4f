"""Read image files: PNG, JPEG, BMP, TIFF, GIF, WebP and PNM, in any bit depth and colour mode."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image as PilImage
from PIL import ImageOps, UnidentifiedImageError

from s3net_jax.errors import InputError, get_reason, make_broken_error
from s3net_jax.io.complete import note_missing_rows
from s3net_jax.io.deep_colors import has_deep_colors, read_samples
from s3net_jax.io.image import Image, from_array, from_pil, from_samples, invert, unpremultiply
from s3net_jax.io.limits import Limits, check_bytes, check_pixels, measure_stored_bytes
from s3net_jax.io.pnm import Header, read_header, read_numbers
from s3net_jax.io.quiet import silence_warnings
from s3net_jax.io.tiff.limits import check_directories
from s3net_jax.io.tiff.reading import (
    Contents,
    Page,
    count_samples,
    describe,
    is_white_zero,
    note_left_out,
    read_contents,
    read_planes,
)

__all__ = ["FORMATS", "MAX_PIXELS", "read"]

FORMATS = ("PNG", "JPEG", "BMP", "DIB", "TIFF", "GIF", "WEBP", "PPM")
"""Formats that may be opened, by PIL's names. No other decoder of PIL is tried."""

# Bytes read to recognise a file. A JPEG's frame header usually follows an EXIF segment, and one
# segment holds at most 64 KiB.
_HEAD = 1 << 16
# Unsupported formats: magic bytes, their offset, and the name that messages use.
_FOREIGN = (
    (b"ftyphei", 4, "a HEIC picture"),
    (b"ftypmif1", 4, "a HEIF picture"),
    (b"ftypavi", 4, "an AVIF picture"),
    (b"\0\0\0\x0cjP  ", 0, "a JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51", 0, "a JPEG 2000 codestream"),
    (b"\0\0\0\x0cJXL ", 0, "a JPEG XL picture"),
    (b"\xff\x0a", 0, "a JPEG XL codestream"),
    (b"8BPS", 0, "a Photoshop document"),
    (b"v/1\x01", 0, "an OpenEXR picture"),
)

_ELSEWHERE = "; to segment its slices, use s3net_jax.segment_volume or the command s3net segment"

MAX_PIXELS = Limits().max_pixels
"""Largest number of pixels accepted by default (see :mod:`.limits`)."""


def read(path: str | os.PathLike[str], window: tuple[float, float] | None = None) -> Image:
    """Read an image file and convert it to what a viewer would show.

    The EXIF rotation is applied, palettes, CMYK and 1-bit images become RGB or grey, and
    transparent pixels are blended over white. 8-bit values are kept. Other values (more bits,
    signed, floating point) are scaled as in :func:`.from_array`: from their 0.5th and 99.5th
    percentiles over all channels to [0, 1]; floats already in [0, 1] are kept. Of several pages,
    frames or TIFF channels that are not colours, only the first is read, with a note. Notes also
    report ignored content of a TIFF file and pixels missing from a truncated file.

    Args:
      path: path of the file.
      window: values shown as black and as white, for images with more than 8 bits; None uses the
        percentiles.

    Raises:
      InputError: the file is missing, unreadable, empty, broken or not an image, has more pixels
        than the limit (100 million by default), is smaller than 8×8, has only one colour, or
        contains NaN or infinity.
    """
    path = Path(path)
    name = str(path)
    check_file(path)
    try:
        contents = read_contents(path)
        if contents is not None and contents.pages[0] is not None:
            return _read_deep(path, contents, contents.pages[0], name, window)
        header = read_header(path)
        if header is not None:
            return _read_numbers(path, header, name, window)
        with suspend_pixel_limit(), PilImage.open(path, formats=FORMATS) as picture:
            check_picture(picture, path)
            return _decode(picture, path, contents, name, window)
    except InputError:
        raise
    except UnidentifiedImageError:
        tiff = describe(path)
        if tiff is not None:
            raise InputError(
                f"{name} is an unsupported kind of TIFF ({tiff}): save it as grey or RGB."
            ) from None
        raise InputError(
            f"{name} is not a supported image{_recognise(path)}: use PNG, JPEG, BMP or TIFF."
        ) from None
    except MemoryError:
        raise InputError(f"{name} does not fit into memory: shrink or crop it first.") from None
    except Exception as error:  # decoders raise many types of exceptions for broken data
        if "MAX_TEXT" in str(error):
            raise InputError(
                f"{name} contains a text chunk that unpacks to more than 1 MB: save it without "
                "text chunks."
            ) from None
        raise make_broken_error(name, error) from error


def check_file(path: Path) -> None:
    """Raise :class:`InputError` unless ``path`` is a non-empty file that can be opened."""
    name = str(path)
    try:
        if path.is_dir():
            raise InputError(f"{name} is a folder; an image file is expected.")
        if not path.exists():
            raise InputError(f"{name} does not exist.")
        with path.open("rb") as file:
            if not file.read(1):
                raise InputError(f"{name} is empty (0 bytes).")
    except OSError as error:
        raise InputError(f"{name} can't be opened: {get_reason(error)}.") from None


@contextmanager
def suspend_pixel_limit() -> Iterator[None]:
    """Suspend PIL's pixel limit while a file is opened; call :func:`check_picture` instead."""
    with silence_warnings():  # PIL warns about unusual metadata
        before = PilImage.MAX_IMAGE_PIXELS
        # check_picture applies our own limits, and its message names the option to raise them.
        PilImage.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            PilImage.MAX_IMAGE_PIXELS = before


# Peak memory of decoding, in bytes per pixel; tests/io/test_bombs.py measures that memory stays
# below 1 GB. PIL's own buffer by mode (other modes take 4):
_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2}
# What is added to it:
_DEEP = 8  # modes "I" and "F": a 4-byte NumPy copy and the scaled float32 values
_DEEP_COLORS = 40  # four 16-bit samples (8 bytes), and four float32 values twice (32 bytes)
_WEBP = 12  # libwebp holds two canvases and one frame in RGBA in addition to PIL's buffer
_PROGRESSIVE = 6  # progressive JPEG keeps 16-bit coefficients of three components


def check_picture(picture: PilImage.Image, path: Path) -> None:
    """Raise :class:`InputError` if decoding ``picture`` would exceed the limits.

    The check uses only the header: ``picture`` is open but not decoded yet.
    """
    check_pixels(str(path), *picture.size)
    if picture.format == "TIFF":
        check_directories(path)
    kind = "I;16" if picture.mode.startswith("I;16") else picture.mode
    each = _BYTES.get(kind, 4)
    each += {"I": _DEEP, "F": _DEEP, "I;16": 6}.get(kind, 0)  # 6: uint16 copy and float32 values
    each += _DEEP_COLORS if has_deep_colors(picture) else 0
    each += _WEBP if picture.format == "WEBP" else 0
    each += _PROGRESSIVE if picture.info.get("progressive") else 0
    check_bytes(str(path), each * picture.width * picture.height, measure_stored_bytes(path))


def _decode(
    picture: PilImage.Image,
    path: Path,
    contents: Contents | None,
    name: str,
    window: tuple[float, float] | None,
) -> Image:
    notes, page = [], 0
    if contents is None:
        frames = 1 if picture.format == "MPO" else getattr(picture, "n_frames", 1)
        notes += _note_first(name, frames, "frames")
        if frames > 1:
            picture.seek(0)
    else:
        page = contents.planes[0].page
        notes += [*_note_first(name, len(contents.planes), "pages"), *contents.notes]
        if page:
            picture.seek(page)
    stored_size = picture.size
    check_pixels(name, *stored_size)
    inverted = is_white_zero(picture)
    notes += note_left_out(count_samples(picture), len(picture.getbands()), name)
    deep = read_samples(path, FORMATS, page) if has_deep_colors(picture) else None
    if deep is not None:
        notes += note_missing_rows(picture, path, name)
        image = _build_from_samples(deep.values, deep.opacity, deep.premultiplied, name, window)
        return _finish(image, path, stored_size, notes, inverted)
    picture.load()
    notes += note_missing_rows(picture, path, name)
    try:
        ImageOps.exif_transpose(picture, in_place=True)  # a copy would double peak memory
    except Exception:  # the pixels are valid even if the metadata is broken
        notes.append(f"{name} has broken EXIF data; its rotation, if any, is not applied.")
    image = from_pil(picture, name, window)
    return _finish(image, path, stored_size, notes, inverted)


def _build_from_samples(
    values: np.ndarray,
    opacity: np.ndarray | None,
    premultiplied: bool,
    name: str,
    window: tuple[float, float] | None,
) -> Image:
    if opacity is None:
        return from_array(values, name, window)
    return from_samples(
        unpremultiply(values, opacity) if premultiplied else values, opacity, name, window
    )


def _read_numbers(
    path: Path, header: Header, name: str, window: tuple[float, float] | None
) -> Image:
    """Read a PNM file with more than 8 bits per sample, or a PFM file."""
    check_pixels(name, *header.size)
    # 24 bytes per pixel: float32 RGB (12 bytes), once as stored and once scaled to [0, 1].
    check_bytes(name, 24 * header.size[0] * header.size[1], measure_stored_bytes(path))
    image = from_array(read_numbers(path, header), name, window)
    return _finish(image, path, header.size, [], False)


def _finish(
    image: Image,
    path: Path,
    stored_size: tuple[int, int],
    notes: list[str],
    inverted: bool,
) -> Image:
    pixels = invert(image.pixels) if inverted else image.pixels
    return dataclasses.replace(
        image,
        pixels=pixels,
        path=path,
        stored_size=stored_size,
        notes=(*notes, *image.notes),
    )


def _read_deep(
    path: Path, contents: Contents, page: Page, name: str, window: tuple[float, float] | None
) -> Image:
    """Read the first page of a TIFF file with tifffile, because PIL would lose information."""
    size = page.shape[1], page.shape[0]
    check_pixels(name, *size)
    notes = [*_note_first(name, len(contents.planes), "pages"), *contents.notes]
    notes += note_left_out(page.samples, page.bands, name)
    pixels, opacity = read_planes(path, contents, [0])[0], None
    if page.opacity:
        opacity, pixels = pixels[..., -1], pixels[..., 0 if page.colors == 1 else slice(3)]
    image = _build_from_samples(pixels, opacity, page.premultiplied, name, window)
    image = dataclasses.replace(image, mode=page.mode)
    return _finish(image, path, size, notes, page.white_is_zero)


def _note_first(name: str, count: int, kind: str) -> list[str]:
    return [f"{name} has {count} {kind}; only the first is segmented."] if count > 1 else []


def _recognise(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head.startswith(b"%PDF"):
        return " (this is a PDF)"
    if head[128:132] == b"DICM":
        return f" (this is a DICOM file{_ELSEWHERE})"
    for magic, place, kind in _FOREIGN:
        if head.startswith(magic, place):
            return f" (this is {kind})"
    if _read_jpeg_bits(head) not in (0, 8):
        return f" (this is a JPEG of {_read_jpeg_bits(head)} bits)"
    if head[:2] == b"\x1f\x8b":
        if path.name.lower().endswith(".nii.gz"):
            return f" (this is a NIfTI volume{_ELSEWHERE})"
        return " (this is a gzip archive)"
    if head[344:347] in (b"n+1", b"ni1"):
        return f" (this is a NIfTI volume{_ELSEWHERE})"
    head = head[:348]
    if b"\0" not in head and all(byte >= 32 or byte in b"\t\r\n\f\x1b" for byte in head):
        return " (this is text)"
    return ""


def _read_jpeg_bits(head: bytes) -> int:
    """Return the bits per sample from a JPEG's frame header, or 0 if there is none in ``head``."""
    place = 2 if head.startswith(b"\xff\xd8\xff") else len(head)
    while place + 5 <= len(head) and head[place] == 0xFF:
        if 0xC0 <= head[place + 1] <= 0xCF and head[place + 1] not in (0xC4, 0xC8, 0xCC):
            return head[place + 4]
        place += 2 + int.from_bytes(head[place + 2 : place + 4], "big")
    return 0
