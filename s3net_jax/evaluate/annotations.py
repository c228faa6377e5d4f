"""Read the segmentations that several people made of one image: BSDS500's files, and arrays."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from s3net_jax.errors import InputError, get_reason, make_broken_error
from s3net_jax.io import get_limits, read_regular

__all__ = ["ANNOTATION_SUFFIXES", "read_annotations"]

_MAPS = "maps"  # array of an .npz file
_CELLS = "groundTruth"  # variable of a .mat file


def read_annotations(path: Path) -> tuple[np.ndarray, ...]:
    """Read all human segmentations of one image.

    - ``.mat`` as BSDS500 is distributed: a cell array ``groundTruth`` of structures whose field
      ``Segmentation`` is a label map. ``Boundaries`` is ignored.
    - ``.npz``: an array ``maps`` (people, H, W) of whole numbers.

    Args:
      path: path of the file.

    Returns:
      Label maps, at least one, all (H, W) int32.

    Raises:
      InputError: the file cannot be read, contains something else, or its maps differ in size.
    """
    try:
        content = read_regular(path, follow=True)
    except OSError as error:
        raise InputError(f"{path} can't be read: {get_reason(error)}.") from None
    try:
        maps = _READERS[path.suffix.lower()](content, path)
    except InputError:
        raise
    except MemoryError:
        raise InputError(f"{path} does not fit in memory.") from None
    except Exception as error:  # decoders raise arbitrary errors on broken data
        raise make_broken_error(str(path), error) from error
    if not maps:
        raise InputError(f"{path} contains no segmentation.")
    return tuple(_check_map(one, maps[0].shape, path) for one in maps)


def _read_mat(content: bytes, path: Path) -> list[np.ndarray]:
    from scipy.io import loadmat

    found = loadmat(io.BytesIO(content), variable_names=[_CELLS])
    if _CELLS not in found:
        raise InputError(f"{path} is not a ground truth of BSDS500: it has no variable {_CELLS}.")
    return [_read_cell(cell, path) for cell in found[_CELLS].ravel()]


def _read_cell(cell: Any, path: Path) -> np.ndarray:
    names = getattr(getattr(cell, "dtype", None), "names", None) or ()
    if "Segmentation" not in names or cell.size != 1:
        raise InputError(
            f"{path} is not a ground truth of BSDS500: each cell of {_CELLS} must be a structure "
            "with the field Segmentation."
        )
    return np.asarray(cell["Segmentation"].item())


def _read_npz(content: bytes, path: Path) -> list[np.ndarray]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        # A few kilobytes may unpack to gigabytes. 8 bytes a label are the largest whole numbers.
        unpacked = sum(info.file_size for info in archive.infolist())
    if unpacked > 8 * get_limits().max_voxels:
        raise InputError(f"{path} would need {unpacked / 1e9:.1f} GB of memory: it is damaged.")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        if _MAPS not in arrays:
            raise InputError(f"{path} has no array {_MAPS} (people, height, width).")
        maps = arrays[_MAPS]
    if maps.ndim != 3:
        raise InputError(
            f"{path} has an array {_MAPS} of shape {maps.shape}: it must be (people, height, "
            "width)."
        )
    return list(maps)


_READERS: dict[str, Callable[[bytes, Path], list[np.ndarray]]] = {
    ".mat": _read_mat,
    ".npz": _read_npz,
}

ANNOTATION_SUFFIXES = tuple(_READERS)
"""Suffixes of the files that :func:`read_annotations` reads."""


def _check_map(values: np.ndarray, shape: tuple[int, ...], path: Path) -> np.ndarray:
    if values.ndim != 2 or values.shape != shape or not values.size:
        raise InputError(
            f"{path} contains segmentations of shapes {shape} and {values.shape}: all must be "
            "(height, width) of the image."
        )
    if values.dtype.kind not in "ui" and not (
        values.dtype.kind == "f" and np.isfinite(values).all() and (values % 1 == 0).all()
    ):
        raise InputError(f"{path} contains {values.dtype} values: segments must be whole numbers.")
    limits = np.iinfo(np.int32)
    if values.min() < limits.min or values.max() > limits.max:
        raise InputError(f"{path} contains labels beyond 32 bits, such as {values.max()}.")
    return values.astype(np.int32)
