"""The dark surroundings of a picture that are no part of what it shows."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from s3net_jax.io.colors import LUMA
from s3net_jax.masks.cleanup import connected_regions, touching
from s3net_jax.masks.shapes import grown

__all__ = ["vignette"]

_SIDE = 256  # pixels of the long side that the two widths below are told for
_SMOOTH, _GROWN = 1.0, 6
_DARK, _BLACK = 0.4, 0.1  # of the luminance that a fifth of the pixels exceed


def vignette(image: np.ndarray) -> np.ndarray:
    """Dark regions that hold a corner, and black ones that touch the border of the image, grown by
    a fortieth of its side.

    A dermoscope's black frame, or the air around a body in a CT slice.

    Args:
      image: (H, W, 3) uint8.

    Returns:
      (H, W) bool; all false if every pixel would be dark.
    """
    scale = max(image.shape[:2]) / _SIDE
    luminance = ndimage.gaussian_filter(image @ LUMA, _SMOOTH * scale)
    bright = np.percentile(luminance, 80)
    regions = connected_regions(luminance < _DARK * bright)
    corners = {int(regions[y, x]) for y in (0, -1) for x in (0, -1)} - {0}
    found = np.isin(regions, list(corners)) | touching(
        connected_regions(luminance < _BLACK * bright), 1, 1
    )
    outside = grown(found, round(_GROWN * scale))
    return np.zeros_like(outside) if outside.all() else outside
