"""Image files: PNG, JPEG, BMP, TIFF (and GIF, WebP, PNM) of every depth and colour mode."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image as PilImage
from PIL import ImageOps, UnidentifiedImageError

from s3net_jax.io.errors import InputError
from s3net_jax.io.image import Image, from_pil
from s3net_jax.io.quiet import quiet

__all__ = ["FORMATS", "MAX_PIXELS", "read"]

FORMATS = ("PNG", "JPEG", "BMP", "DIB", "TIFF", "GIF", "WEBP", "PPM")
"""PIL's names of the formats that are opened; nothing else is tried."""

MAX_PIXELS = 100_000_000
"""Largest image that is opened: a small file can claim a size that fills any memory."""


def read(path: str | os.PathLike[str], window: tuple[float, float] | None = None) -> Image:
    """The image in a file, as a person sees it.

    EXIF's rotation is applied; palettes, CMYK and 1-bit become RGB or grey; transparency is
    shown over white. 8 bits stay 8 bits. Grey images of 16 or 32 bits, or floating point, are
    scaled between their 0.5th and 99.5th percentiles; 16-bit colour keeps its upper 8 bits.
    Of several pages or frames the first is read, and a note says so.

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
        with pixel_limit(), PilImage.open(path, formats=FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise _too_large(name, picture.size)
            return _decoded(picture, path, name, window)
    except InputError:
        raise
    except (PilImage.DecompressionBombError, PilImage.DecompressionBombWarning):
        raise _too_large(name) from None
    except UnidentifiedImageError:
        raise InputError(
            f"{name} is not an image that can be read: PNG, JPEG, BMP and TIFF can{_hint(path)}."
        ) from None
    except MemoryError:
        raise InputError(f"{name} does not fit into memory: shrink or crop it first.") from None
    except Exception as error:  # decoders raise whatever they like on broken data
        raise broken(name, error) from error


def broken(name: str, error: Exception) -> InputError:
    """What is said of a file on which its decoder failed with ``error``."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    detail = lines[0].strip().rstrip(".")[:200] or type(error).__name__
    return InputError(f"{name} is broken or cut off ({detail}): copy or export the file again.")


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
    """PIL's own limit set to ours while a file is opened, and put back."""
    with quiet():  # on odd metadata; what matters raises
        warnings.simplefilter("error", PilImage.DecompressionBombWarning)
        before = PilImage.MAX_IMAGE_PIXELS
        PilImage.MAX_IMAGE_PIXELS = MAX_PIXELS
        try:
            yield
        finally:
            PilImage.MAX_IMAGE_PIXELS = before


def _decoded(
    picture: PilImage.Image, path: Path, name: str, window: tuple[float, float] | None
) -> Image:
    notes = []
    frames = 1 if picture.format == "MPO" else getattr(picture, "n_frames", 1)
    if frames > 1:
        kind = "pages" if picture.format == "TIFF" else "frames"
        notes.append(f"{name} has {frames} {kind}; only the first is segmented.")
        picture.seek(0)
    stored_size = picture.size
    inverted = _white_is_zero(picture)
    picture.load()
    try:
        picture = ImageOps.exif_transpose(picture)
    except Exception:  # broken metadata must not lose a sound image
        notes.append(f"{name} has broken EXIF data; a rotation it may ask for is not applied.")
    image = from_pil(picture, name, window)
    if window is not None and image.window is None:
        notes.append(f"{name} has 8 bits: the window is not applied to it.")
    if inverted:
        image = dataclasses.replace(image, pixels=1 - image.pixels)
    return dataclasses.replace(image, path=path, stored_size=stored_size, notes=tuple(notes))


def _white_is_zero(picture: PilImage.Image) -> bool:
    """Whether a deep grey TIFF stores white as 0, which PIL turns round only for 8 bits."""
    tags = getattr(picture, "tag_v2", None)
    deep = picture.mode in ("I", "F") or picture.mode.startswith("I;16")
    return bool(deep and tags is not None and tags.get(262) == 0)


def _too_large(name: str, size: tuple[int, int] | None = None) -> InputError:
    what = f"is {size[0]}×{size[1]} pixels" if size else "claims a size"
    return InputError(
        f"{name} {what}, above the limit of {MAX_PIXELS // 1_000_000} million pixels: "
        "shrink or crop it first."
    )


def _hint(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(256)
    if head.startswith(b"%PDF"):
        return " (this is a PDF)"
    if head[128:132] == b"DICM":
        return " (this is a DICOM file)"
    if head[:2] == b"\x1f\x8b":
        return " (this is a gzip archive)"
    if b"\0" not in head and all(byte >= 32 or byte in b"\t\r\n\f\x1b" for byte in head):
        return " (this is text)"
    return ""
