"""Parts of a mask, and the discs that smooth its outline."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from s3net_jax.masks.cleanup import connected_regions

__all__ = ["central_parts", "disc", "part_weights"]


def disc(radius: int) -> np.ndarray:
    """(2 radius + 1, 2 radius + 1) bool: the pixels within ``radius`` of the middle."""
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return y**2 + x**2 <= radius**2


def part_weights(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The connected parts of ``mask`` and what speaks for each: √area · exp(−2 d²), d the distance
    of its centre from the image's in half sides.

    Returns:
      (H, W) int32: 0 outside, 1..N in the parts; (N,) floats.
    """
    regions = connected_regions(mask)
    count = int(regions.max())
    if count == 0:
        return regions, np.zeros(0)
    half = (np.array(mask.shape) - 1) / 2
    centres = np.array(ndimage.center_of_mass(mask, regions, np.arange(1, count + 1)))
    away = (((centres - half) / half) ** 2).sum(1)
    areas = np.bincount(regions.ravel(), minlength=count + 1)[1:]
    return regions, np.sqrt(areas) * np.exp(-2 * away)


def central_parts(mask: np.ndarray, share: float) -> np.ndarray:
    """The parts whose weight (:func:`part_weights`) is at least ``share`` of the largest: a lesion
    without the hairs beside it, but both lungs; (H, W) bool."""
    regions, weights = part_weights(mask)
    if weights.size < 2:
        return mask
    return np.isin(regions, 1 + np.flatnonzero(weights >= share * weights.max()))
