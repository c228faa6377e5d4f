"""Choose the slices of a volume that pictures show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["choose_shown_slices"]


def choose_shown_slices(mask: np.ndarray, segmented: Sequence[int]) -> list[int]:
    """Return up to three slices, at 20, 50 and 80 % of those that contain the target.

    Args:
      mask: (slices, H, W) bool mask of the target.
      segmented: indices of the slices that are segmented, all of which are considered if there is
        no target.
    """
    found = np.flatnonzero(mask.any((1, 2)))
    found = found if found.size else np.asarray(segmented)
    places = (np.array([0.2, 0.5, 0.8]) * (found.size - 1)).round().astype(int)
    return np.unique(found[places]).tolist()
