"""Simulate persons who choose the target, from ground truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy import ndimage

__all__ = ["USERS", "click_inside", "pick_clusters"]


def pick_clusters(clusters: np.ndarray, truth: np.ndarray) -> str:
    """Pick the clusters that together are most like the ground truth.

    Clusters are ordered by the fraction of their pixels that is in the object; the first n of them
    have the largest DSC that any n clusters have, or nearly so.

    Args:
      clusters: (H, W) integer label map.
      truth: (H, W) bool ground truth.

    Returns:
      The target, such as ``label:2,3``.
    """
    areas = np.bincount(clusters.ravel())
    inside = np.bincount(clusters[truth], minlength=len(areas))
    order = np.argsort(-inside / np.maximum(areas, 1), kind="stable")
    scores = 2 * np.cumsum(inside[order]) / (np.cumsum(areas[order]) + np.count_nonzero(truth))
    count = int(np.argmax(scores)) + 1
    return f"label:{','.join(map(str, sorted(order[:count].tolist())))}"


def click_inside(clusters: np.ndarray, truth: np.ndarray) -> str:
    """Click at the pixel of the object that is farthest from its border.

    The arguments are those of :func:`pick_clusters`.
    """
    depth = np.asarray(ndimage.distance_transform_edt(np.pad(truth, 1)))[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), truth.shape)
    return f"point:{column},{row}"


USERS: Mapping[str, Callable[[np.ndarray, np.ndarray], str]] = {
    "label": pick_clusters,
    "point": click_inside,
}
"""Name → function that returns a target from a label map and the ground truth."""
