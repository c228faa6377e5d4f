"""Number the connected parts of a mask."""

from __future__ import annotations

from typing import cast

import numpy as np
from scipy import ndimage

from s3net_jax.masks.labels import compact_labels

__all__ = ["label_instances"]


def label_instances(mask: np.ndarray) -> np.ndarray:
    """Number the connected parts of a mask by decreasing size.

    Pixels are connected through their sides and voxels through their faces; parts that touch only
    at a corner are separate. Parts of equal size are numbered by their first pixel in reading
    order.

    Args:
      mask: bool mask, (H, W), or (slices, H, W), whose parts continue across slices.

    Returns:
      int32 label map of the same shape: 0 outside the mask, 1 for the largest part.
    """
    regions, count = cast(tuple[np.ndarray, int], ndimage.label(mask))
    result = np.zeros(mask.shape, np.int32)
    if count:
        result[mask] = compact_labels(regions[mask]) + 1
    return result
