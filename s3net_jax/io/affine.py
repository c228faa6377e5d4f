"""Compare affine matrices (voxel indices to millimetres) and detect sheared slices."""

from __future__ import annotations

from itertools import product

import numpy as np

__all__ = ["MISPLACED", "describe_shear", "is_sheared", "measure_corner_distance", "remove_shear"]

MISPLACED = 0.05
"""Largest distance between corners of a volume, as a fraction of the smallest voxel side, at which
two affine matrices count as equal.

DICOM rounds direction cosines to about six digits and NIfTI stores float32: over 1,000 voxels
either is off by 0.001 voxels. 0.05 also allows for positions with two decimals and is too small
to be visible."""


def measure_corner_distance(first: np.ndarray, second: np.ndarray, shape: tuple[int, ...]) -> float:
    """Return the largest distance between corresponding corners of a volume under two matrices.

    Args:
      first, second: affine matrices, (4, 4).
      shape: shape of the volume in voxels.

    Returns:
      The distance in the unit of the matrices.
    """
    corners = np.array(list(product(*((0, side - 1) for side in (*shape, 1, 1)[:3]))))
    difference = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    shifts = corners @ difference[:3, :3].T + difference[:3, 3]
    return float(np.linalg.norm(shifts, axis=1).max())


def remove_shear(affine: np.ndarray) -> np.ndarray:
    """Return the nearest affine with orthogonal axes and the same spacing and origin.

    A NIfTI qform can express only such matrices.
    """
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    left, _, right = np.linalg.svd(affine[:3, :3] / spacing)
    result = affine.copy()
    result[:3, :3] = left @ right * spacing
    return result


def is_sheared(affine: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Return whether ``affine`` differs from its nearest orthogonal matrix by more than rounding.

    ``shape`` is the shape of the volume in voxels.
    """
    spacing = np.linalg.norm(affine[:3, :3], axis=0).min()
    return measure_corner_distance(affine, remove_shear(affine), shape) > MISPLACED * spacing


def describe_shear(name: str, affine: np.ndarray, shape: tuple[int, ...]) -> list[str]:
    """Return a note if the slices of a DICOM series are sheared, for example by a tilted gantry."""
    if not is_sheared(affine, shape):
        return []
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    step = affine[:3, 2]
    cosine = abs(normal @ step) / (np.linalg.norm(normal) * np.linalg.norm(step))
    angle = np.degrees(np.arccos(min(cosine, 1.0)))
    return [
        f"{name} has sheared slices (each is shifted relative to the one before, as with a tilted "
        f"gantry, here by {angle:.1f} degrees). The NIfTI results have the exact positions in the "
        "sform and no qform, because a qform cannot express a shear; ITK and SimpleITK reject such "
        "files. The DICOM SEG also has the exact positions."
    ]
