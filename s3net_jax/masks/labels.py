"""Label maps: consecutive labels, and the way from the network's size to the image's own."""

from __future__ import annotations

import numpy as np
from PIL import Image as PilImage

from s3net_jax.io import resize_antialias

__all__ = ["compact_labels", "compute_labels"]


def compact_labels(labels: np.ndarray) -> np.ndarray:
    """The same partition with labels 0..L−1 in order of decreasing area.

    Clusters of equal area are ordered by their first pixel in reading order, so the result
    depends on the partition alone, not on how it was numbered.

    Args:
      labels: (H, W) integers, of a modest range.

    Returns:
      (H, W) int32.
    """
    low = int(labels.min())
    # Counting, not sorting: labels are small numbers, and images may have 100 million pixels.
    indices = labels - low
    areas = np.bincount(indices.ravel())
    values = np.flatnonzero(areas)
    counts = areas[values]
    tied = [np.count_nonzero(counts == count) > 1 for count in counts]
    first = [np.argmax(indices == v) if tie else 0 for v, tie in zip(values, tied, strict=True)]
    rank = np.empty(len(areas), np.int32)
    rank[values[np.lexsort((np.array(first), -counts))]] = np.arange(len(values), dtype=np.int32)
    return rank[indices]


def compute_labels(logits: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The label map of ``logits`` at another size: argmax of the bilinearly resized softmax.

    The boundaries then run smoothly between the network's pixels, where nearest neighbours
    would give steps. Only clusters that win somewhere at the network's own size take part.

    Args:
      logits: (h, w, K) floating point.
      shape: (H, W) wanted.

    Returns:
      (H, W) int32 in 0..K−1; at the network's own size exactly the argmax of ``logits``.
    """
    labels = np.argmax(logits, -1).astype(np.int32)
    if labels.shape == tuple(shape):
        return labels
    shifted = logits.astype(np.float32) - logits.max(-1, keepdims=True).astype(np.float32)
    exponent = np.exp(shifted)
    softmax = exponent / exponent.sum(-1, keepdims=True)
    best = np.full(shape, -1, np.float32)
    result = np.zeros(shape, np.int32)
    for label in np.unique(labels):
        plane = resize_antialias(softmax[..., label], shape, PilImage.Resampling.BILINEAR)
        wins = plane > best
        best[wins] = plane[wins]
        result[wins] = label
    return result
