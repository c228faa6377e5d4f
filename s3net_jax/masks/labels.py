"""Make label maps: consecutive labels, and resizing from network to image resolution."""

from __future__ import annotations

import numpy as np
from PIL import Image as PilImage

from s3net_jax.io import resize_antialias

__all__ = ["compact_labels", "compute_labels"]


def compact_labels(labels: np.ndarray) -> np.ndarray:
    """Renumber labels to 0..L−1 in order of decreasing area.

    Clusters of equal area are ordered by their first pixel in reading order, so the result
    depends only on the partition, not on its numbering.

    Args:
      labels: (H, W) integer label map, or (slices, H, W); memory grows with the range of its
        values.

    Returns:
      int32 label map of the same shape and partition.
    """
    low = int(labels.min())
    # Counting instead of sorting: labels are small, and images may have 100 million pixels.
    indices = labels - low
    # Slice by slice: bincount copies its argument to 8 bytes an entry.
    count = int(labels.max()) - low + 1
    areas = np.zeros(count, np.int64)
    for part in indices if labels.ndim > 2 else [indices]:
        areas += np.bincount(part.ravel(), minlength=count)
    values = np.flatnonzero(areas)
    counts = areas[values]
    tied = [np.count_nonzero(counts == count) > 1 for count in counts]
    first = [np.argmax(indices == v) if tie else 0 for v, tie in zip(values, tied, strict=True)]
    rank = np.empty(len(areas), np.int32)
    rank[values[np.lexsort((np.array(first), -counts))]] = np.arange(len(values), dtype=np.int32)
    return rank[indices]


def compute_labels(logits: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Compute the label map of ``logits`` at another size.

    The result is the argmax of the bilinearly resized softmax, which gives smooth boundaries where
    nearest-neighbour resizing would give steps. Only clusters that win at least one pixel at the
    network's resolution are considered.

    Args:
      logits: (h, w, K) floating-point logits.
      shape: size (H, W) of the result.

    Returns:
      (H, W) int32 labels in 0..K−1; if (H, W) equals (h, w), exactly the argmax of ``logits``.
    """
    labels = np.argmax(logits, -1).astype(np.int32)
    if labels.shape == tuple(shape):
        return labels
    # Subtracting the maximum keeps exp from overflowing.
    shifted = logits.astype(np.float32) - logits.max(-1, keepdims=True).astype(np.float32)
    exponent = np.exp(shifted)
    softmax = exponent / exponent.sum(-1, keepdims=True)
    best = np.full(shape, -1, np.float32)
    result = np.zeros(shape, np.int32)
    # One plane at a time: a resized (H, W, K) softmax would not fit for large images.
    for label in np.unique(labels):
        plane = resize_antialias(softmax[..., label], shape, PilImage.Resampling.BILINEAR)
        wins = plane > best
        best[wins] = plane[wins]
        result[wins] = label
    return result
