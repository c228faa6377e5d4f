"""TIFF stacks: pages of one size and kind, as a volume without a place in space."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from PIL import Image as PilImage
from PIL import ImageSequence

from s3net_jax.io.errors import InputError, broken
from s3net_jax.io.limits import check_bytes, stored_bytes
from s3net_jax.io.read import check_file, check_picture, pixel_limit
from s3net_jax.io.tiff import Page, deep_pages, left_out, pages_of, samples_of, white_is_zero
from s3net_jax.io.volume import Volume, check_size
from s3net_jax.io.write import replacing

__all__ = ["is_stack", "read_stack", "write_stack"]

_MODES = {"1", "L", "RGB", "I", "F", "I;16", "I;16B", "I;16L"}


def is_stack(path: Path) -> bool:
    """Whether ``path`` is a TIFF file of several pages, all of one size and kind."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        return False
    try:
        pages = pages_of(path)
        if pages and pages[0] is not None:
            return len(pages) > 1 and len({page and page.kind for page in pages}) == 1
        with pixel_limit(), PilImage.open(path, formats=("TIFF",)) as picture:
            if getattr(picture, "n_frames", 1) < 2:
                return False
            kinds = {(page.size, page.mode) for page in ImageSequence.Iterator(picture)}
            return len(kinds) == 1 and next(iter(kinds))[1] in _MODES
    except Exception:  # reading says what is wrong
        return False


def read_stack(path: Path) -> Volume:
    """All pages: voxels (pages, H, W) or (pages, H, W, 3).

    Raises:
      InputError: missing, broken, too large, NaN or infinity.
    """
    check_file(path)
    name = str(path)
    try:
        pages = [page for page in pages_of(path) if page is not None]
        if pages:
            voxels, inverted, notes = _deep(path, pages, name)
        else:
            voxels, inverted, notes = _of_pil(path, name)
    except InputError:
        raise
    except MemoryError:
        raise InputError(f"{name} does not fit into memory: crop or split it first.") from None
    except Exception as error:
        raise broken(name, error) from error
    if voxels.dtype.kind == "f" and not np.isfinite(voxels).all():
        raise InputError(f"{name} has NaN or infinite values: replace them by numbers first.")
    return Volume(voxels, None, name, path, "stack", notes=tuple(notes), white_is_zero=inverted)


def _deep(path: Path, pages: list[Page], name: str) -> tuple[np.ndarray, bool, list[str]]:
    check_size(name, (len(pages), *pages[0].shape))
    notes = left_out(pages[0].samples, pages[0].bands, name)
    return deep_pages(path, pages), pages[0].white_is_zero, notes


def _of_pil(path: Path, name: str) -> tuple[np.ndarray, bool, list[str]]:
    with pixel_limit(), PilImage.open(path, formats=("TIFF",)) as picture:
        check_picture(picture, path)
        count = int(getattr(picture, "n_frames", 1))
        shape = count, picture.height, picture.width
        check_size(name, shape)
        # Stored and scaled numbers, or the three bytes of a colour.
        check_bytes(
            name, (8 if picture.mode[0] in "IF" else 4) * math.prod(shape), stored_bytes(path)
        )
        inverted = white_is_zero(picture)
        notes = left_out(samples_of(picture), len(picture.getbands()), name)
        first = _page(picture)
        voxels = np.empty((count, *first.shape), first.dtype)
        for number in range(count):
            picture.seek(number)
            voxels[number] = _page(picture)
    return voxels, inverted, notes


def _page(picture: PilImage.Image) -> np.ndarray:
    array = np.asarray(picture.convert("L") if picture.mode == "1" else picture)
    return array.astype(array.dtype.newbyteorder("="))


def write_stack(path: Path, values: np.ndarray) -> None:
    """(pages, H, W) uint8 or uint16 as a TIFF of as many pages, compressed without loss."""
    pages = [PilImage.fromarray(page) for page in values]
    with replacing(path) as file:
        pages[0].save(
            file,
            format="TIFF",
            save_all=True,
            append_images=pages[1:],
            compression="tiff_adobe_deflate",
        )
