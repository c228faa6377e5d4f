"""Parts of a mask, the discs that smooth its outline, and what is left of it at a smaller size."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from s3net_jax.masks.cleanup import label_regions

__all__ = ["find_central_parts", "grow", "make_disc", "subsample", "weigh_parts"]


def make_disc(radius: int) -> np.ndarray:
    """(2 radius + 1, 2 radius + 1) bool: the pixels within ``radius`` of the middle."""
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return y**2 + x**2 <= radius**2


def grow(mask: np.ndarray, radius: int) -> np.ndarray:
    """The union of discs around the pixels of ``mask``; (H, W) bool. By distances, for any radius:
    a structuring element would cost its own area at every pixel."""
    if not mask.any():
        return mask
    return np.asarray(ndimage.distance_transform_edt(~mask)) <= radius


def subsample(labels: np.ndarray, step: int) -> np.ndarray:
    """Every ``step``-th row and column of (H, W), from the middle of the first step on; at least
    one, also of sides shorter than a step."""
    row, column = (min(step, side) // 2 for side in labels.shape)
    return labels[row::step, column::step]


def weigh_parts(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The connected parts of ``mask`` and what speaks for each: √area · exp(−2 d²), d the distance
    of its centre from the image's in half sides.

    Returns:
      (H, W) int32: 0 outside, 1..N in the parts; (N,) floats.
    """
    regions = label_regions(mask)
    count = int(regions.max())
    if count == 0:
        return regions, np.zeros(0)
    half = (np.array(mask.shape) - 1) / 2
    span = np.maximum(half, 0.5)  # a side of one pixel has no distances
    centres = np.array(ndimage.center_of_mass(mask, regions, np.arange(1, count + 1)))
    away = (((centres - half) / span) ** 2).sum(1)
    areas = np.bincount(regions.ravel(), minlength=count + 1)[1:]
    return regions, np.sqrt(areas) * np.exp(-2 * away)


def find_central_parts(mask: np.ndarray, share: float) -> np.ndarray:
    """The parts whose weight (:func:`weigh_parts`) is at least ``share`` of the largest: a lesion
    without the hairs beside it, but both lungs; (H, W) bool."""
    regions, weights = weigh_parts(mask)
    if weights.size < 2:
        return mask
    return np.isin(regions, 1 + np.flatnonzero(weights >= share * weights.max()))
