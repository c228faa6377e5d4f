"""Image files: PNG, JPEG, BMP, TIFF (and GIF, WebP, PNM) of every depth and colour mode."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image as PilImage
from PIL import ImageOps, UnidentifiedImageError

from s3net_jax.io.errors import InputError, broken
from s3net_jax.io.image import Image, from_array, from_pil, turned_round
from s3net_jax.io.limits import Limits, check_bytes, check_pixels, stored_bytes
from s3net_jax.io.quiet import quiet
from s3net_jax.io.tiff import deep_pages, describe, left_out, pages_of, samples_of, white_is_zero
from s3net_jax.io.tiff_limits import check_directories

__all__ = ["FORMATS", "MAX_PIXELS", "read"]

FORMATS = ("PNG", "JPEG", "BMP", "DIB", "TIFF", "GIF", "WEBP", "PPM")
"""PIL's names of the formats that are opened; nothing else is tried."""

_COMMAND = ", of which the command segments slices"

MAX_PIXELS = Limits().max_pixels
"""Largest image that is opened by default (see :mod:`.limits`)."""


def read(path: str | os.PathLike[str], window: tuple[float, float] | None = None) -> Image:
    """The image in a file, as a person sees it.

    EXIF's rotation is applied; palettes, CMYK and 1-bit become RGB or grey; transparency is
    shown over white. 8 bits stay 8 bits. Grey of more bits, signed or floating point, and TIFF
    colour of such kinds, are scaled between their 0.5th and 99.5th percentiles (floats in [0, 1]
    stay as they are); 16-bit colour keeps its upper 8 bits. Of several pages or frames, and of
    TIFF channels that are no colours, the first is read, and a note says so.

    Args:
      path: a file.
      window: the values shown as black and as white, of grey images of more than 8 bits.

    Raises:
      InputError: missing, unreadable, empty, broken, not an image, over 100 million pixels,
        smaller than 8×8, one single colour, NaN or infinity.
    """
    path = Path(path)
    name = str(path)
    check_file(path)
    try:
        deep = _deep(path, name, window)
        if deep is not None:
            return deep
        with pixel_limit(), PilImage.open(path, formats=FORMATS) as picture:
            check_picture(picture, path)
            return _decoded(picture, path, name, window)
    except InputError:
        raise
    except UnidentifiedImageError:
        tiff = describe(path)
        if tiff is not None:
            raise InputError(
                f"{name} is a TIFF of a kind that is not read ({tiff}): save it as grey or RGB."
            ) from None
        raise InputError(
            f"{name} is not an image that can be read: PNG, JPEG, BMP and TIFF can{_hint(path)}."
        ) from None
    except MemoryError:
        raise InputError(f"{name} does not fit into memory: shrink or crop it first.") from None
    except Exception as error:  # decoders raise whatever they like on broken data
        if "MAX_TEXT" in str(error):
            raise InputError(
                f"{name} holds text that unpacks to more than a megabyte: save it without its text."
            ) from None
        raise broken(name, error) from error


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
        reason = (error.strerror or type(error).__name__).lower()
        raise InputError(f"{name} can't be opened: {reason}.") from None


@contextmanager
def pixel_limit() -> Iterator[None]:
    """Suspend PIL's own limit while a file is opened; call :func:`check_picture` in its place."""
    with quiet():  # on odd metadata
        before = PilImage.MAX_IMAGE_PIXELS
        PilImage.MAX_IMAGE_PIXELS = None  # check_picture counts, and says what to do
        try:
            yield
        finally:
            PilImage.MAX_IMAGE_PIXELS = before


_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2}
_DEEP = 8  # of "I" and "F": the numbers as an array, and scaled as float32
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
    each += _WEBP if picture.format == "WEBP" else 0
    each += _PROGRESSIVE if picture.info.get("progressive") else 0
    check_bytes(str(path), each * picture.width * picture.height, stored_bytes(path))


def _decoded(
    picture: PilImage.Image, path: Path, name: str, window: tuple[float, float] | None
) -> Image:
    notes = []
    frames = 1 if picture.format == "MPO" else getattr(picture, "n_frames", 1)
    if frames > 1:
        kind = "pages" if picture.format == "TIFF" else "frames"
        notes.append(_first_alone(name, frames, kind))
        picture.seek(0)
    stored_size = picture.size
    inverted = white_is_zero(picture)
    notes += left_out(samples_of(picture), len(picture.getbands()), name)
    picture.load()
    try:
        ImageOps.exif_transpose(picture, in_place=True)  # a copy would be held beside it
    except Exception:  # broken metadata must not lose a sound image
        notes.append(f"{name} has broken EXIF data; a rotation it may ask for is not applied.")
    image = from_pil(picture, name, window)
    return _finished(image, path, stored_size, notes, inverted)


def _finished(
    image: Image,
    path: Path,
    stored_size: tuple[int, int],
    notes: list[str],
    inverted: bool,
) -> Image:
    pixels = turned_round(image.pixels) if inverted else image.pixels
    return dataclasses.replace(
        image,
        pixels=pixels,
        path=path,
        stored_size=stored_size,
        notes=(*notes, *image.notes),
    )


def _deep(path: Path, name: str, window: tuple[float, float] | None) -> Image | None:
    """The first page of a TIFF file that PIL would not read well."""
    pages = pages_of(path)
    page = pages[0] if pages else None
    if page is None:
        return None
    size = page.shape[1], page.shape[0]
    check_pixels(name, *size)
    notes = [_first_alone(name, len(pages), "pages")] if len(pages) > 1 else []
    notes += left_out(page.samples, page.bands, name)
    image = from_array(deep_pages(path, [page])[0], name, window)
    image = dataclasses.replace(image, mode=page.mode)
    return _finished(image, path, size, notes, page.white_is_zero)


def _first_alone(name: str, count: int, kind: str) -> str:
    return f"{name} has {count} {kind}; only the first is segmented."


def _hint(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(348)
    if head.startswith(b"%PDF"):
        return " (this is a PDF)"
    if head[128:132] == b"DICM":
        return f" (this is a DICOM file{_COMMAND})"
    if head[:2] == b"\x1f\x8b":
        if path.name.lower().endswith(".nii.gz"):
            return f" (this is a NIfTI volume{_COMMAND})"
        return " (this is a gzip archive)"
    if head[344:347] in (b"n+1", b"ni1"):
        return f" (this is a NIfTI volume{_COMMAND})"
    if b"\0" not in head and all(byte >= 32 or byte in b"\t\r\n\f\x1b" for byte in head):
        return " (this is text)"
    return ""
