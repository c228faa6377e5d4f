"""Clean a mask of a volume in 3D, and measure how much it changes from slice to slice."""

from __future__ import annotations

from typing import cast

import numpy as np
from scipy import ndimage

from s3net_jax.config import SegmentConfig
from s3net_jax.masks.cleanup import find_pockets

__all__ = ["clean_volume", "find_central_bodies", "find_outliers", "label_bodies"]

_MARGIN = 0.02  # width of the border as a fraction of the sides, as for pictures
_INNER = 0.005
"""Smallest inner body for which bodies at the border are removed: a cube whose faces have this
fraction of a slice, the one that is used for pictures."""

_POCKET = 0.005
"""Largest hole of a slice that is filled, as a fraction of the slice, if it is no hole of the
volume: vessels in a lung are, but not the heart, in the slices where both lungs surround it. The
fraction is that of :mod:`.boundary`."""

_LOSS, _SUBSTANTIAL = 0.5, 0.1
"""A slice disagrees with others if it has less than ``_LOSS`` of the area that it should have, and
that area is at least ``_SUBSTANTIAL`` of the largest one in the volume: small areas change fast."""


def label_bodies(mask: np.ndarray) -> np.ndarray:
    """Number the bodies of ``mask``, its 6-connected parts.

    Args:
      mask: (slices, H, W) bool.

    Returns:
      (slices, H, W) int32: 0 outside ``mask``, 1, 2, ... inside.
    """
    bodies, _ = cast(tuple[np.ndarray, int], ndimage.label(mask))
    return bodies


def clean_volume(mask: np.ndarray, config: SegmentConfig) -> np.ndarray:
    """Apply the clean-up steps that ``config`` enables, in 3D: border, holes, islands.

    The border is that of the slices: an organ may continue beyond the first and the last slice. Of
    the holes that are closed only within a slice, small ones are filled.

    Args:
      mask: (slices, H, W) bool mask.
      config: segmentation settings; ``drop_border``, ``fill_holes`` and ``min_island`` are read,
        the last as the faces of a cube (:func:`_compute_cube`).

    Returns:
      (slices, H, W) bool, a new array.
    """
    mask = _drop_border(mask) if config.drop_border else mask.copy()
    if config.fill_holes:
        mask = _fill(mask)
    return _drop_islands(mask, config.min_island) if config.min_island > 0 else mask


def _compute_cube(mask: np.ndarray, share: float) -> float:
    """Return the voxels of a cube whose faces have the fraction ``share`` of a slice.

    A fraction of the volume would remove whole organs that only a few slices show: a thousandth of
    300 slices of 512×512 is a cube of 43 voxels a side, this one has 16.
    """
    return (share * mask[0].size) ** 1.5


def _drop_border(mask: np.ndarray) -> np.ndarray:
    """Remove the bodies at the border of the slices if a large enough inner body remains."""
    bodies = label_bodies(mask)
    touching = np.zeros(int(bodies.max()) + 1, bool)
    rows, columns = (max(1, round(_MARGIN * side)) for side in mask.shape[1:])
    upper, lower = bodies[:, :rows], bodies[:, -rows:]
    for strip in (upper, lower, bodies[..., :columns], bodies[..., -columns:]):
        touching[np.unique(strip)] = True
    touching[0] = True
    inner = ~touching[bodies]
    volumes = np.bincount(bodies.ravel())
    volumes[touching] = 0
    is_large = volumes.max(initial=0) >= _compute_cube(mask, _INNER)
    return inner if is_large else mask.copy()


def _fill(mask: np.ndarray) -> np.ndarray:
    filled = np.asarray(ndimage.binary_fill_holes(mask), bool)
    return filled | find_pockets(filled, _POCKET * mask[0].size)


def _drop_islands(mask: np.ndarray, smallest: float) -> np.ndarray:
    bodies = label_bodies(mask)
    volumes = np.bincount(bodies.ravel())
    volumes[0] = 0
    keep = volumes >= _compute_cube(mask, smallest)
    keep[volumes.argmax()] = True
    keep[0] = False
    return keep[bodies]


def find_central_bodies(mask: np.ndarray, share: float) -> np.ndarray:
    """Return the bodies whose weight is at least ``share`` of the largest weight.

    The weight is √volume · exp(−2 d²), as :func:`.shapes.weigh_parts` for pictures, where d is the
    distance between the centres of the body and of the slices.

    Args:
      mask: (slices, H, W) bool mask.
      share: fraction in [0, 1].

    Returns:
      (slices, H, W) bool.
    """
    bodies = label_bodies(mask)
    count = int(bodies.max())
    if count < 2:
        return mask
    half = (np.array(mask.shape[1:]) - 1) / 2
    centres = np.array(ndimage.center_of_mass(mask, bodies, np.arange(1, count + 1)))[:, 1:]
    away = (((centres - half) / np.maximum(half, 0.5)) ** 2).sum(1)
    weights = np.sqrt(np.bincount(bodies.ravel(), minlength=count + 1)[1:]) * np.exp(-2 * away)
    keep = np.concatenate([[False], weights >= share * weights.max()])
    return keep[bodies]


def find_outliers(mask: np.ndarray) -> list[int]:
    """Find slices whose mask disagrees with that of the slices around them.

    A slice disagrees if its mask has less than half the area that slices on both sides of it reach,
    or more than twice the area of both its neighbours. The ends of an object, where the areas only
    grow or shrink, do not disagree, however few slices they have.

    Args:
      mask: (slices, H, W) bool mask.

    Returns:
      Numbers of the slices, from 0, in ascending order.
    """
    areas = mask.sum((1, 2))
    smallest = _SUBSTANTIAL * areas.max(initial=0)
    left, right = np.maximum.accumulate(areas), np.maximum.accumulate(areas[::-1])[::-1]
    reached = np.minimum(left, right)
    is_dip = (areas < _LOSS * reached) & (reached >= smallest)
    beside = np.full(len(areas), np.inf)  # the first and last slice have one neighbour only
    beside[1:-1] = np.maximum(areas[:-2], areas[2:])
    is_spike = (beside < _LOSS * areas) & (areas >= smallest)
    return np.flatnonzero(is_dip | is_spike).tolist()
