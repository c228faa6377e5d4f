"""Affine matrices from voxel indices to millimetres: sheared slices, distances between two."""

from __future__ import annotations

from itertools import product

import numpy as np

__all__ = ["MISPLACED", "describe_shear", "is_sheared", "measure_corner_distance", "remove_shear"]

MISPLACED = 0.05
"""Voxel sides (of the smallest) that the corner of a volume may be off before two matrices differ.

DICOM rounds direction cosines to six digits or so and NIfTI stores float32: over 1,000 voxels
either is off by 0.001 of a voxel. Five hundredths leave room for positions with two decimals, and
no reader shows them."""


def measure_corner_distance(first: np.ndarray, second: np.ndarray, shape: tuple[int, ...]) -> float:
    """Return the largest distance, in the unit of the matrices, between where two matrices place
    a corner of a volume of ``shape``."""
    corners = np.array(list(product(*((0, side - 1) for side in (*shape, 1, 1)[:3]))))
    difference = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    shifts = corners @ difference[:3, :3].T + difference[:3, 3]
    return float(np.linalg.norm(shifts, axis=1).max())


def remove_shear(affine: np.ndarray) -> np.ndarray:
    """Return the nearest matrix with orthogonal axes, of the same spacing and origin: what a
    NIfTI qform can express."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    left, _, right = np.linalg.svd(affine[:3, :3] / spacing)
    result = affine.copy()
    result[:3, :3] = left @ right * spacing
    return result


def is_sheared(affine: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Whether orthogonal axes would place voxels elsewhere."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0).min()
    return measure_corner_distance(affine, remove_shear(affine), shape) > MISPLACED * spacing


def describe_shear(name: str, affine: np.ndarray, shape: tuple[int, ...]) -> list[str]:
    """Return a note if the slices of a DICOM series are sheared, as with a tilted gantry."""
    if not is_sheared(affine, shape):
        return []
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    step = affine[:3, 2]
    cosine = abs(normal @ step) / (np.linalg.norm(normal) * np.linalg.norm(step))
    angle = np.degrees(np.arccos(min(cosine, 1.0)))
    return [
        f"{name} has slices that are sheared (each is shifted along the one before, as with a "
        f"tilted gantry, here by {angle:.1f} degrees): the NIfTI results have the exact positions "
        "in the sform and no qform, which cannot express a shear. ITK and SimpleITK refuse such "
        "files; the DICOM SEG has the exact positions, too."
    ]
