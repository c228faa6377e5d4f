"""Find what surrounds the field of view: a dermoscope's black rim, or the air around a body."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from s3net_jax.masks.vignette import find_outside, find_vignette, resize_outside

__all__ = ["choose_finder", "find_surround", "keep_outer_rays", "resize_surround"]

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
    return find_outside(image, _drop_inner_parts)


def resize_surround(image: np.ndarray, small: np.ndarray) -> np.ndarray:
    """Find the surroundings of ``small``, a resized copy of ``image``."""
    return resize_outside(image, small, find_surround)


def choose_finder(choice: str) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function that finds the surroundings for a value of ``segment.choice``."""
    return find_surround if choice == "traits" else find_vignette


def _drop_inner_parts(found: np.ndarray, black: np.ndarray, margin: int) -> np.ndarray:
    """Keep only the outer parts of ``found`` unless most of the border is ``black``."""
    border = np.ones(found.shape, bool)
    border[margin:-margin, margin:-margin] = False
    return found if black[border].mean() >= _ENCLOSED else keep_outer_rays(found)


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
