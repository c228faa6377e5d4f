"""Ground truths: read, aligned with their images, and all checked before the first fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image as PilImage
from PIL import ImageOps

from s3net_jax.errors import InputError, make_broken_error
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

__all__ = ["check_all", "check_truths", "read_grid", "read_truth"]

_ORIENTATION = 0x0112  # EXIF


def read_truth(path: Path, grid: Grid | None) -> np.ndarray:
    """Read a ground truth as bool on the grid of its image; see :mod:`.foreground`.

    A NIfTI mask is brought to the order and direction of its image's axes.

    Args:
      path: of the mask.
      grid: of the image; None where it is not known.

    Raises:
      InputError: unreadable, empty, several volumes, or of another size or place than its image.
    """
    own, truth = _read(path)
    if grid is not None:
        fitting = align_to_grid(truth, own, grid)
        if fitting is None:
            raise InputError(_explain_mismatch(path, own, grid))
        truth = fitting
    if not truth.any():
        raise InputError(f"{path} is empty: there is nothing to be found.")
    return truth


def check_truths(pairs: Iterable[Pair]) -> None:
    """Check ground truths; raise :class:`InputError`, which names each that can't be used.

    An image that can't be read is nothing to this: it fails in its own turn. If none can, such as
    without the package that reads NIfTI, that is an error before anything is written.
    """
    pairs = list(pairs)
    check_usable(pair.image for pair in pairs)
    check_all([lambda pair=pair: read_truth(pair.truth, read_grid(pair)) for pair in pairs])


def check_all(checks: Iterable[Callable[[], object]]) -> None:
    """Run all checks; raise one :class:`InputError` with the sentences of those that fail."""
    problems: list[str] = []
    for check in checks:
        try:
            check()
        except InputError as error:
            problems.append(str(error))
    problems = list(dict.fromkeys(problems))
    if len(problems) > 1:
        raise InputError(f"Nothing is begun, for {len(problems)} reasons:", *problems)
    if problems:
        raise InputError(problems[0])


def _read(path: Path) -> tuple[Grid, np.ndarray]:
    if is_nifti(path):
        volume = read_nifti(path)
        count = math.prod(load_nifti(path).shape[3:])
        if count > 1:
            raise InputError(f"{path} holds {count} volumes: a ground truth is one.")
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
        raise InputError(f"{path} can't be read as a ground truth: it is no image.") from None
    except Exception as error:  # decoders raise whatever they like on broken data
        raise make_broken_error(str(path), error) from error


def read_grid(pair: Pair) -> Grid | None:
    """Read the grid on which the image is segmented; None if the image can't be read."""
    try:
        if pair.kind == "nifti":
            return read_nifti_grid(pair.image)
        if pair.kind == "stack":
            return Grid(read_stack(pair.image).shape)
        return Grid(_read_shape(pair.image))
    except Exception:  # what a broken head leads to; reading the image says what is wrong
        return None


def _read_shape(path: Path) -> tuple[int, int]:
    """(H, W), from the file's head if EXIF does not turn the picture."""
    try:
        if is_tiff(path):  # the first page may be a thumbnail
            return read(path).shape
        with suspend_pixel_limit(), PilImage.open(path, formats=FORMATS) as picture:
            if picture.getexif().get(_ORIENTATION, 1) == 1:
                return picture.height, picture.width
    except Exception:  # reading says what is wrong
        pass
    return read(path).shape


def _explain_mismatch(path: Path, own: Grid, grid: Grid) -> str:
    if own.shape == grid.shape and len(own.shape) == 3:
        return (
            f"{path} lies elsewhere in space than its image, by the affine matrices of the two: "
            "save it with that of the image, or resample it to the image's grid."
        )
    remedy = "resample it to the image's grid" if len(own.shape) == 3 else "they must be equal"
    return f"{path} is {describe_grid(own)}, its image {describe_grid(grid)}: {remedy}."
