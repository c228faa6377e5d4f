"""Check whether two volumes share a voxel grid, and align their axes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from s3net_jax.io import check_header, load_nifti, place_nifti, silence_warnings

__all__ = ["Grid", "align_to_grid", "describe_grid", "read_nifti_grid"]

_TOLERANCE = 0.1  # largest deviation of a corner in voxels; headers hold rounded numbers


@dataclass(frozen=True, eq=False)
class Grid:
    """The grid of pixels or voxels of an image.

    Attributes:
      shape: (H, W) for a picture, (pages, H, W) for a stack, (X, Y, Z) for a volume in space.
      affine: (4, 4) matrix from indices to millimetres; None if the position in space is unknown.
    """

    shape: tuple[int, ...]
    affine: np.ndarray | None = None


def read_nifti_grid(path: Path) -> Grid:
    """Read the grid of one volume from the header of a NIfTI file.

    If both orientation codes of the header are 0, the position in space is unknown.
    """
    check_header(path)
    with silence_warnings():
        image = load_nifti(path)
    x, y, z = (*image.shape, 1, 1)[:3]
    placed = any(int(image.header[code]) for code in ("sform_code", "qform_code"))
    return Grid((x, y, z), place_nifti(image, str(path))[0] if placed else None)


def align_to_grid(values: np.ndarray, own: Grid, wanted: Grid) -> np.ndarray | None:
    """Permute and flip the axes of ``values`` so that they match the grid ``wanted``.

    If the position of either grid is unknown, elements are matched by index.

    Args:
      values: array on the grid ``own``.
      own: grid of ``values``.
      wanted: grid of the result.

    Returns:
      A view of ``values``, or None if the grids differ in more than the order and direction of
      their axes.
    """
    if own.affine is None or wanted.affine is None:
        return values if own.shape == wanted.shape else None
    there = np.linalg.solve(wanted.affine, own.affine)  # maps own indices to wanted ones
    turn = np.round(there[:3, :3])
    if not all(np.array_equal(np.abs(turn).sum(axis), np.ones(3)) for axis in (0, 1)):
        return None
    places = np.abs(turn).argmax(1)  # own axis of each wanted axis
    if tuple(own.shape[place] for place in places) != wanted.shape:
        return None
    signs = turn.sum(1)
    start = np.where(signs < 0, np.array(wanted.shape) - 1, 0)
    corners = np.array(list(product(*((0, side - 1) for side in own.shape))))
    error = (corners @ there[:3, :3].T + there[:3, 3]) - (corners @ turn.T + start)
    if np.abs(error).max() > _TOLERANCE:
        return None
    flips = tuple(slice(None, None, -1 if sign < 0 else 1) for sign in signs)
    return np.transpose(values, places)[flips]


def describe_grid(grid: Grid) -> str:
    """Format as ``a picture of 640×480 pixels`` or ``a volume of 9×9×5 voxels of 0.7×0.7×3 mm``."""
    if len(grid.shape) == 2:
        return f"a picture of {grid.shape[1]}×{grid.shape[0]} pixels"
    return f"a volume of {'×'.join(map(str, grid.shape))} voxels{_describe_spacing(grid)}"


def _describe_spacing(grid: Grid) -> str:
    if grid.affine is None:
        return ""
    sides = np.linalg.norm(grid.affine[:3, :3], axis=0)
    return f" of {'×'.join(f'{side:.3g}' for side in sides)} mm"
