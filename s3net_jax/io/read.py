"""Image files: PNG, JPEG, BMP, TIFF (and GIF, WebP, PNM) of every depth and colour mode."""

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
"""PIL's names of the formats that are opened; nothing else is tried."""

_HEAD = 1 << 16  # bytes in which a JPEG's frame header is, behind EXIF of full length as a rule
# Formats that are not read: the first bytes, their place, and what messages say.
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

_COMMAND = ", of which the command segments slices"

MAX_PIXELS = Limits().max_pixels
"""Largest image that is opened by default (see :mod:`.limits`)."""


def read(path: str | os.PathLike[str], window: tuple[float, float] | None = None) -> Image:
    """The image in a file, as a person sees it.

    EXIF's rotation is applied; palettes, CMYK and 1-bit become RGB or grey; transparency is
    shown over white. 8 bits stay 8 bits. Grey and colours of more bits, signed or floating point,
    are scaled as :func:`.from_array` scales the same numbers: between their 0.5th and 99.5th
    percentiles, over all channels together (floats in [0, 1] stay as they are). Of several pages
    or frames, and of TIFF channels that are no colours, the first is read, with a note. A
    note also names what else a TIFF file holds, and pixels that the file promises but lacks.

    Args:
      path: a file.
      window: the values shown as black and as white, of images of more than 8 bits.

    Raises:
      InputError: missing, unreadable, empty, broken, not an image, over 100 million pixels,
        smaller than 8×8, one single colour, NaN or infinity.
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
                f"{name} is a TIFF of a kind that is not read ({tiff}): save it as grey or RGB."
            ) from None
        raise InputError(
            f"{name} is not an image that can be read: PNG, JPEG, BMP and TIFF "
            f"can{_recognise(path)}."
        ) from None
    except MemoryError:
        raise InputError(f"{name} does not fit into memory: shrink or crop it first.") from None
    except Exception as error:  # decoders raise whatever they like on broken data
        if "MAX_TEXT" in str(error):
            raise InputError(
                f"{name} holds text that unpacks to more than a megabyte: save it without its text."
            ) from None
        raise make_broken_error(name, error) from error


def check_file(path: Path) -> None:
    """Raises :class:`InputError` unless ``path`` is a file with content that can be opened."""
    name = str(path)
    try:
        if path.is_dir():
            raise InputError(f"{name} is a folder, where an image file is expected.")
        if not path.exists():
            raise InputError(f"{name} does not exist.")
        with path.open("rb") as file:
            if not file.read(1):
                raise InputError(f"{name} is empty (0 bytes).")
    except OSError as error:
        raise InputError(f"{name} can't be opened: {get_reason(error)}.") from None


@contextmanager
def suspend_pixel_limit() -> Iterator[None]:
    """Suspend PIL's own limit while a file is opened; call :func:`check_picture` in its place."""
    with silence_warnings():  # on odd metadata
        before = PilImage.MAX_IMAGE_PIXELS
        PilImage.MAX_IMAGE_PIXELS = None  # check_picture counts, and says what to do
        try:
            yield
        finally:
            PilImage.MAX_IMAGE_PIXELS = before


_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2}
_DEEP = 8  # of "I" and "F": the numbers as an array, and scaled as float32
_DEEP_COLORS = 40  # four samples of 16 bits, and float32 pixels twice
_WEBP = 12  # two canvases and a frame in RGBA beside PIL's own
_PROGRESSIVE = 6  # coefficients of three components in 16 bits


def check_picture(picture: PilImage.Image, path: Path) -> None:
    """Raise :class:`InputError` for an opened picture whose decoding would exceed the limits."""
    check_pixels(str(path), *picture.size)
    if picture.format == "TIFF":
        check_directories(path)
    kind = "I;16" if picture.mode.startswith("I;16") else picture.mode
    each = _BYTES.get(kind, 4)
    each += {"I": _DEEP, "F": _DEEP, "I;16": 6}.get(kind, 0)
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
        ImageOps.exif_transpose(picture, in_place=True)  # a copy would be held beside it
    except Exception:  # broken metadata must not lose a sound image
        notes.append(f"{name} has broken EXIF data; a rotation it may ask for is not applied.")
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
    """A PNM file of more than 8 bits."""
    check_pixels(name, *header.size)
    # The numbers, and float32 pixels twice: the values and those scaled to [0, 1].
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
    """The first page of a TIFF file that PIL would not read well."""
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
        return f" (this is a DICOM file{_COMMAND})"
    for magic, place, kind in _FOREIGN:
        if head.startswith(magic, place):
            return f" (this is {kind})"
    if _read_jpeg_bits(head) not in (0, 8):
        return f" (this is a JPEG of {_read_jpeg_bits(head)} bits)"
    if head[:2] == b"\x1f\x8b":
        if path.name.lower().endswith(".nii.gz"):
            return f" (this is a NIfTI volume{_COMMAND})"
        return " (this is a gzip archive)"
    if head[344:347] in (b"n+1", b"ni1"):
        return f" (this is a NIfTI volume{_COMMAND})"
    head = head[:348]
    if b"\0" not in head and all(byte >= 32 or byte in b"\t\r\n\f\x1b" for byte in head):
        return " (this is text)"
    return ""


def _read_jpeg_bits(head: bytes) -> int:
    """The precision that a JPEG's frame header states, or 0."""
    place = 2 if head.startswith(b"\xff\xd8\xff") else len(head)
    while place + 5 <= len(head) and head[place] == 0xFF:
        if 0xC0 <= head[place + 1] <= 0xCF and head[place + 1] not in (0xC4, 0xC8, 0xCC):
            return head[place + 4]
        place += 2 + int.from_bytes(head[place + 2 : place + 4], "big")
    return 0
