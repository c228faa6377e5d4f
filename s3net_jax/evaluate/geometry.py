"""Whether two volumes have the same voxels, and how the one's axes lie in the other's."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from s3net_jax.io import check_header, load_nifti, place_nifti, silence_warnings

__all__ = ["Grid", "align_to_grid", "describe_grid", "read_nifti_grid"]

_TOLERANCE = 0.1  # voxels that a corner may be off: headers are rounded


@dataclass(frozen=True, eq=False)
class Grid:
    """Where pixels or voxels lie.

    Attributes:
      shape: (H, W) of a picture, (pages, H, W) of a stack, (X, Y, Z) of a volume in space.
      affine: (4, 4), from indices to millimetres; None where no place in space is known.
    """

    shape: tuple[int, ...]
    affine: np.ndarray | None = None


def read_nifti_grid(path: Path) -> Grid:
    """From the head of a NIfTI file that can be read; of several volumes that of one. If both its
    orientation codes are 0, it has no place in space."""
    check_header(path)
    with silence_warnings():
        image = load_nifti(path)
    x, y, z = (*image.shape, 1, 1)[:3]
    placed = any(int(image.header[code]) for code in ("sform_code", "qform_code"))
    return Grid((x, y, z), place_nifti(image, str(path))[0] if placed else None)


def align_to_grid(values: np.ndarray, own: Grid, wanted: Grid) -> np.ndarray | None:
    """``values`` with axes permuted and flipped so that they lie on the grid ``wanted``.

    Where one of the two has no place in space, they belong together element by element.

    Returns:
      A view, or None if the grids differ in more than order and direction of their axes.
    """
    if own.affine is None or wanted.affine is None:
        return values if own.shape == wanted.shape else None
    there = np.linalg.solve(wanted.affine, own.affine)  # from own indices to wanted ones
    turn = np.round(there[:3, :3])
    if not all(np.array_equal(np.abs(turn).sum(axis), np.ones(3)) for axis in (0, 1)):
        return None
    places = np.abs(turn).argmax(1)  # of each wanted axis the own one
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
    """``a picture of 640×480 pixels`` or ``a volume of 512×512×90 voxels of 0.7×0.7×3 mm``."""
    if len(grid.shape) == 2:
        return f"a picture of {grid.shape[1]}×{grid.shape[0]} pixels"
    return f"a volume of {'×'.join(map(str, grid.shape))} voxels{_describe_spacing(grid)}"


def _describe_spacing(grid: Grid) -> str:
    if grid.affine is None:
        return ""
    sides = np.linalg.norm(grid.affine[:3, :3], axis=0)
    return f" of {'×'.join(f'{side:.3g}' for side in sides)} mm"
