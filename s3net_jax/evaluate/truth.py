"""Read ground truths, align them with their images, and check them all before the first fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image as PilImage
from PIL import ImageOps

from s3net_jax.criteria import REGIONS
from s3net_jax.errors import InputError, make_broken_error
from s3net_jax.evaluate.annotations import read_annotations
from s3net_jax.evaluate.datasets import Pair
from s3net_jax.evaluate.foreground import find_foreground, find_picture_foreground
from s3net_jax.evaluate.geometry import Grid, align_to_grid, describe_grid, read_nifti_grid
from s3net_jax.io import (
    FORMATS,
    Volume,
    check_file,
    check_picture,
    is_nifti,
    is_stack,
    is_tiff,
    load_nifti,
    read,
    read_nifti,
    read_stack,
    suspend_pixel_limit,
)
from s3net_jax.run import check_usable

__all__ = ["check_all", "check_truths", "read_grid", "read_segmentations", "read_truth"]

_ORIENTATION = 0x0112  # EXIF tag


def read_truth(path: Path, grid: Grid | None) -> np.ndarray:
    """Read a ground truth as bool on the grid of its image; see :mod:`.foreground`.

    The axes of a NIfTI mask are permuted and flipped to match its image.

    Args:
      path: path of the mask.
      grid: grid of the image; None if unknown, which skips alignment.

    Raises:
      InputError: if the mask is unreadable, empty or has several volumes, or if its size or
        position differs from its image.
    """
    own, truth = _read(path)
    if grid is not None:
        fitting = align_to_grid(truth, own, grid)
        if fitting is None:
            raise InputError(_explain_mismatch(path, own, grid))
        truth = fitting
    if not truth.any():
        raise InputError(f"{path} is empty: a ground truth must mark at least one pixel.")
    return truth


def read_segmentations(path: Path, grid: Grid | None) -> tuple[np.ndarray, ...]:
    """Read the segmentations that people made of an image; see :func:`read_annotations`.

    Args:
      path: path of the file.
      grid: grid of the image; None if unknown, which skips the check of the size.

    Raises:
      InputError: if the file cannot be used, or its size differs from its image.
    """
    maps = read_annotations(path)
    own = Grid(maps[0].shape)
    if grid is not None and own.shape != grid.shape:
        raise InputError(_explain_mismatch(path, own, grid))
    return maps


def check_truths(pairs: Iterable[Pair]) -> None:
    """Check all ground truths and raise one :class:`InputError` that names each unusable one.

    Single unreadable images are ignored here; they are reported when they are segmented. If no
    image can be read, as without the package that reads NIfTI, that is an error too.
    """
    pairs = list(pairs)
    check_usable(pair.image for pair in pairs)
    check_all([lambda pair=pair: _check_truth(pair) for pair in pairs])


def _check_truth(pair: Pair) -> None:
    read_any = read_segmentations if pair.criteria is REGIONS else read_truth
    read_any(pair.truth, read_grid(pair))


def check_all(checks: Iterable[Callable[[], object]]) -> None:
    """Run all checks and raise one :class:`InputError` with the messages of those that fail."""
    problems: list[str] = []
    for check in checks:
        try:
            check()
        except InputError as error:
            problems.append(str(error))
    problems = list(dict.fromkeys(problems))
    if len(problems) > 1:
        raise InputError(f"Not started; {len(problems)} inputs cannot be used:", *problems)
    if problems:
        raise InputError(problems[0])


def _read(path: Path) -> tuple[Grid, np.ndarray]:
    if is_nifti(path):
        volume = read_nifti(path)
        count = math.prod(load_nifti(path).shape[3:])
        if count > 1:
            raise InputError(f"{path} contains {count} volumes: a ground truth must have one.")
        return read_nifti_grid(path), _read_foreground(volume)
    if is_stack(path):
        volume = read_stack(path)
        return Grid(volume.shape), _read_foreground(volume)
    truth = _read_picture(path)
    return Grid(truth.shape), truth


def _read_foreground(volume: Volume) -> np.ndarray:
    colors = volume.voxels.ndim == 4
    values = volume.voxels.max(-1) if colors else volume.voxels
    return find_foreground(values, volume.name)


def _read_picture(path: Path) -> np.ndarray:
    check_file(path)
    try:
        with suspend_pixel_limit(), PilImage.open(path, formats=FORMATS) as picture:
            check_picture(picture, path)
            picture.load()
            return find_picture_foreground(ImageOps.exif_transpose(picture), str(path))
    except InputError:
        raise
    except PilImage.UnidentifiedImageError:
        raise InputError(f"{path} can't be read as a ground truth: it is not an image.") from None
    except Exception as error:  # decoders raise arbitrary errors on broken data
        raise make_broken_error(str(path), error) from error


def read_grid(pair: Pair) -> Grid | None:
    """Read the grid on which the image is segmented; None if the image can't be read."""
    try:
        if pair.kind == "nifti":
            return read_nifti_grid(pair.image)
        if pair.kind == "stack":
            return Grid(read_stack(pair.image).shape)
        return Grid(_read_shape(pair.image))
    except Exception:  # a broken header; reading the image reports what is wrong
        return None


def _read_shape(path: Path) -> tuple[int, int]:
    """Read the size (H, W), from the header only unless EXIF rotates the picture."""
    try:
        if is_tiff(path):  # the first page may be a thumbnail
            return read(path).shape
        with suspend_pixel_limit(), PilImage.open(path, formats=FORMATS) as picture:
            if picture.getexif().get(_ORIENTATION, 1) == 1:
                return picture.height, picture.width
    except Exception:  # reading the image reports what is wrong
        pass
    return read(path).shape


def _explain_mismatch(path: Path, own: Grid, grid: Grid) -> str:
    if own.shape == grid.shape and len(own.shape) == 3:
        return (
            f"{path} has another position in space than its image, according to their affine "
            "matrices: save it with the affine of the image, or resample it to the image's grid."
        )
    remedy = "resample it to the image's grid" if len(own.shape) == 3 else "sizes must be equal"
    return f"{path} is {describe_grid(own)}, but its image is {describe_grid(grid)}: {remedy}."
