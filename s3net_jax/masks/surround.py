"""Find what surrounds the field of view: a dermoscope's black rim, or the air around a body."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from s3net_jax.masks.cleanup import find_touching, label_regions
from s3net_jax.masks.shapes import grow
from s3net_jax.masks.vignette import BLACK, DARK, find_within_lines, resize_outside

__all__ = ["find_surround", "keep_outer_rays", "resize_surround"]

_SIDE = 256  # long side in pixels for which the next two lengths are given; they scale with it
_SMOOTH, _GROWN = 1.0, 6  # standard deviation of the blur, and radius of the final dilation

_ENCLOSED = 0.5
"""Share of the image's border that is black if the picture shows something in black surroundings:
0.63 to 1 in CT slices and 0.74 to 0.84 in endoscopy, at most 0.44 in ultrasound and 0.21 in
dermoscopy (development images)."""

_ANGLES = 360  # rays from the centre; a degree is finer than the outline of any rim
_MEDIAN = 9  # rays of the median, so that a hair across the rim or a letter on it changes nothing


def find_surround(image: np.ndarray) -> np.ndarray:
    """Find the pixels that are not part of the field of view.

    Dark regions that contain a corner and black regions that touch the border are candidates. If
    most of the border is black, all of them are surroundings, such as the air around a body.
    Otherwise only their outer parts are: pixels from which a ray away from the centre meets
    candidates only. In ultrasound, shadows connect a corner with dark lesions, and such a lesion
    must not become a surrounding. The result is dilated by about a fortieth of the long side.

    Lines along the border, brighter than the dark corners behind them, belong to the surroundings.

    Args:
      image: (H, W, 3) uint8 image.

    Returns:
      (H, W) bool; all False if the surroundings would cover the whole image.
    """
    return find_within_lines(image, _find)


def resize_surround(image: np.ndarray, small: np.ndarray) -> np.ndarray:
    """Find the surroundings of ``small``, a resized copy of ``image``."""
    return resize_outside(image, small, find_surround)


def _find(luminance: np.ndarray, margin: int) -> np.ndarray:
    """Find the surroundings of a picture without frame lines.

    Args:
      luminance: (H, W) luminance.
      margin: distance from the border in pixels up to which a region counts as touching it.
    """
    scale = max(luminance.shape) / _SIDE
    luminance = ndimage.gaussian_filter(luminance, _SMOOTH * scale)
    bright = np.percentile(luminance, 80)
    black = find_touching(label_regions(luminance < BLACK * bright), margin, margin)
    regions = label_regions(luminance < DARK * bright)
    ends = slice(None, margin), slice(-margin, None)
    corners = {int(n) for y in ends for x in ends for n in np.unique(regions[y, x])} - {0}
    found = np.isin(regions, list(corners)) | black
    border = np.ones(found.shape, bool)
    border[margin:-margin, margin:-margin] = False
    if black[border].mean() < _ENCLOSED:
        found = keep_outer_rays(found)
    outside = grow(found, round(_GROWN * scale))
    return np.zeros_like(outside) if outside.all() else outside


def keep_outer_rays(mask: np.ndarray) -> np.ndarray:
    """Keep the pixels of ``mask`` beyond which, away from the centre, all pixels are in ``mask``.

    Args:
      mask: (H, W) bool.

    Returns:
      (H, W) bool, a subset of ``mask``.
    """
    height, width = mask.shape
    y, x = (height - 1) / 2, (width - 1) / 2
    angles = np.arange(_ANGLES) * (2 * np.pi / _ANGLES)
    # Length of every ray, from the centre to the border. The tiny addend stands for "never".
    rows = max(y, 0.5) / np.maximum(np.abs(np.sin(angles)), 1e-9)
    columns = max(x, 0.5) / np.maximum(np.abs(np.cos(angles)), 1e-9)
    lengths = np.minimum(rows, columns)
    steps = max(height, width)
    along = np.linspace(0, 1, steps) * lengths[:, None]
    row = np.clip(np.rint(y + np.sin(angles)[:, None] * along), 0, height - 1).astype(np.intp)
    column = np.clip(np.rint(x + np.cos(angles)[:, None] * along), 0, width - 1).astype(np.intp)
    outer = np.logical_and.accumulate(mask[row, column][:, ::-1], 1)[:, ::-1]
    begins = np.where(outer.any(1), outer.argmax(1) / max(steps - 1, 1), np.inf)
    begins = ndimage.median_filter(begins, _MEDIAN, mode="wrap")
    down, right = np.mgrid[:height, :width]
    down, right = down - y, right - x
    turn = np.arctan2(down, right) % (2 * np.pi) / (2 * np.pi)
    ray = np.rint(turn * _ANGLES).astype(np.intp) % _ANGLES
    return mask & (np.hypot(down, right) >= begins[ray] * lengths[ray] - 1e-6)
