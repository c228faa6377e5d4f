"""TIFF stacks: pages of equal size and type, read as a volume without a position in space."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
from PIL import Image as PilImage

from s3net_jax.errors import InputError, make_broken_error
from s3net_jax.io.deep_colors import has_deep_colors, read_samples
from s3net_jax.io.image import read_shown_pixels
from s3net_jax.io.limits import check_bytes, measure_stored_bytes
from s3net_jax.io.read import check_file, check_picture, suspend_pixel_limit
from s3net_jax.io.resolution import Resolution, describe_stack
from s3net_jax.io.tiff.reading import (
    Contents,
    Page,
    count_samples,
    is_white_zero,
    note_left_out,
    read_contents,
    read_planes,
)
from s3net_jax.io.volume import Volume, check_size
from s3net_jax.io.write import replace_file

__all__ = ["is_stack", "read_stack", "write_stack"]


def is_stack(path: Path) -> bool:
    """Return whether ``path`` is a TIFF file with several slices of equal size and type.

    See :func:`.select_planes` for what counts as a slice.
    """
    try:
        contents = read_contents(path)
        if contents is None or len(contents.planes) < 2:
            return False
        if contents.pages[0] is not None:
            return len({page and page.kind for page in contents.pages}) == 1
        if any(contents.pages):
            return False
        with suspend_pixel_limit(), PilImage.open(path, formats=("TIFF",)) as picture:
            kinds = set()
            for plane in contents.planes:
                picture.seek(plane.page)
                kinds.add((picture.size, picture.mode))
            return len(kinds) == 1
    except Exception:  # the reader reports the error
        return False


def read_stack(path: Path) -> Volume:
    """Read all slices as a volume with voxels (slices, H, W) or (slices, H, W, 3).

    Raises:
      InputError: the file is missing, broken, too large, or contains NaN or infinity.
    """
    check_file(path)
    name = str(path)
    try:
        contents = read_contents(path)
        if contents is None:
            raise InputError(f"{name} is not a TIFF file; a TIFF stack is expected.")
        page = contents.pages[0]
        if page is not None:
            voxels, inverted, notes = _read_deep(path, contents, page, name)
        else:
            voxels, inverted, notes = _read_with_pil(path, contents, name)
    except InputError:
        raise
    except MemoryError:
        raise InputError(f"{name} does not fit into memory: crop or split it first.") from None
    except Exception as error:
        raise make_broken_error(name, error) from error
    if voxels.dtype.kind == "f" and not np.isfinite(voxels).all():
        raise InputError(f"{name} has NaN or infinite values: replace them with numbers.")
    notes = (*contents.notes, *notes)
    return Volume(voxels, None, name, path, "stack", notes=notes, white_is_zero=inverted)


def _read_deep(
    path: Path, contents: Contents, page: Page, name: str
) -> tuple[np.ndarray, bool, list[str]]:
    count = len(contents.planes)
    check_size(name, (count, *page.shape))
    notes = note_left_out(page.samples, page.bands, name)
    voxels = read_planes(path, contents, range(count))
    if page.opacity:
        notes.append(f"{name} has an opacity channel; it is ignored in a stack.")
        voxels = voxels[..., 0] if page.colors == 1 else voxels[..., :3]
    return voxels, page.white_is_zero, notes


def _read_with_pil(path: Path, contents: Contents, name: str) -> tuple[np.ndarray, bool, list[str]]:
    with suspend_pixel_limit(), PilImage.open(path, formats=("TIFF",)) as picture:
        check_picture(picture, path)
        count = len(contents.planes)
        voxels, inverted, notes = None, False, []
        for number, plane in enumerate(contents.planes):
            picture.seek(plane.page)
            if number == 0:
                shape = count, picture.height, picture.width
                check_size(name, shape)
                # Bytes per pixel: at most 8 for 4-byte values (stored and scaled) and for 16-bit
                # colours, at most 4 for all others.
                each = 8 if picture.mode[0] in "IF" or has_deep_colors(picture) else 4
                check_bytes(name, each * math.prod(shape), measure_stored_bytes(path))
                inverted = is_white_zero(picture)
                notes = note_left_out(count_samples(picture), len(picture.getbands()), name)
            page = _read_page(picture, path, plane.page, name)
            if voxels is None:
                voxels = np.empty((count, *page.shape), page.dtype)
            voxels[number] = page
    assert voxels is not None
    return voxels, inverted, notes


def _read_page(picture: PilImage.Image, path: Path, number: int, name: str) -> np.ndarray:
    if has_deep_colors(picture):
        samples = read_samples(path, ("TIFF",), number)
        assert samples is not None
        return samples.values
    picture.load()
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        array = np.asarray(picture)
        return array.astype(array.dtype.newbyteorder("="))
    return read_shown_pixels(picture, name)


def write_stack(path: Path, values: np.ndarray, resolution: Resolution | None = None) -> None:
    """Write pages as a multi-page TIFF with lossless compression.

    Args:
      path: path of the file; ends in ``.tif``.
      values: pages, (pages, H, W) uint8 or uint16.
      resolution: pixel size of the input, written in the format of the input, or None.
    """
    if resolution is not None:
        _write_with_resolution(path, values, resolution)
        return
    pages = [PilImage.fromarray(page) for page in values]
    with replace_file(path) as file:
        pages[0].save(
            file,
            format="TIFF",
            save_all=True,
            append_images=pages[1:],
            compression="tiff_adobe_deflate",
        )


def _write_with_resolution(path: Path, values: np.ndarray, resolution: Resolution) -> None:
    import tifffile

    pages, height, width = values.shape
    tags = {}
    if resolution.form != "ome":  # OME stores sizes in the description
        pair = [(v.numerator, v.denominator) for v in (resolution.x, resolution.y)]
        tags = {"resolution": tuple(pair), "resolutionunit": resolution.unit}
    content = io.BytesIO()  # otherwise tifffile asks for the name of a file on disk
    with tifffile.TiffWriter(content) as writer:
        writer.write(
            values,
            photometric="minisblack",
            compression="zlib",
            description=describe_stack(resolution, (pages, height, width), values.dtype.name),
            metadata=None,
            software=False,
            **tags,
        )
    with replace_file(path) as file:
        file.write(content.getvalue())
