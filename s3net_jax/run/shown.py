"""Choose the slices of a volume that pictures show."""

from __future__ import annotations

import numpy as np

__all__ = ["choose_shown_slices"]


def choose_shown_slices(mask: np.ndarray) -> list[int]:
    """Return up to three slices, at 20, 50 and 80 % of those that contain the target.

    Args:
      mask: (slices, H, W) bool mask of the target; without a target, all slices are considered.
    """
    found = np.flatnonzero(mask.any((1, 2)))
    found = found if found.size else np.arange(len(mask))
    places = (np.array([0.2, 0.5, 0.8]) * (found.size - 1)).round().astype(int)
    return np.unique(found[places]).tolist()
