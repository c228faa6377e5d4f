"""Combine label maps of several fits of one image, and measure their agreement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from s3net_jax.masks.labels import compact_labels
from s3net_jax.masks.match import align_labels

__all__ = ["Consensus", "consensus"]


@dataclass(frozen=True, eq=False)
class Consensus:
    """Consensus of several label maps.

    Attributes:
      labels: (H, W) int32 in 0..L−1 by decreasing area, the most frequent label of each pixel.
      agreement: (H, W) float32 in (0, 1], the fraction of maps that assign this label.
      aligned: (N, H, W) int32, the maps renumbered to match the most central map.
    """

    labels: np.ndarray
    agreement: np.ndarray
    aligned: np.ndarray


def consensus(label_maps: Sequence[np.ndarray]) -> Consensus:
    """Compute the majority label of each pixel over several label maps.

    Label maps may number the same clusters differently. All maps are first aligned
    (:func:`align_labels`) to the map that agrees best with the others. A tie is resolved in favour
    of that map.

    Args:
      label_maps: integer label maps of one shape (H, W), with labels of at least 0.

    Raises:
      ValueError: if there are no maps, or maps differ in shape, are empty or have negative labels.
      TypeError: if a map does not have an integer dtype.
    """
    maps = [np.asarray(labels) for labels in label_maps]
    shapes = {labels.shape for labels in maps}
    if len(shapes) != 1:
        found = sorted(shapes) or "none"
        raise ValueError(f"Label maps must have one shape, got {found}.")
    for labels in maps:
        if not np.issubdtype(labels.dtype, np.integer):
            raise TypeError(f"Label maps must be integers, got {labels.dtype}.")
        if labels.ndim != 2 or labels.size == 0 or labels.min() < 0:
            raise ValueError(
                "Label maps must be (H, W), not empty, with labels of at least 0; one of shape "
                f"{labels.shape} is not."
            )
    # Label files are often unsigned, and the alignment marks unmatched labels by −1.
    maps = [labels.astype(np.int64) for labels in maps]
    centre = _find_most_agreeing(maps)
    aligned = np.stack([align_labels(labels, maps[centre]) for labels in maps])
    best_count = np.count_nonzero(aligned == aligned[centre], axis=0).astype(np.int32)
    best = aligned[centre].copy()
    # One label at a time: a table of all votes, (L, H, W), would not fit for large images.
    for label in np.unique(aligned):
        count = np.count_nonzero(aligned == label, axis=0)
        wins = count > best_count
        best[wins] = label
        best_count[wins] = count[wins]
    agreement = (best_count / len(maps)).astype(np.float32)
    return Consensus(compact_labels(best), agreement, aligned)


def _find_most_agreeing(maps: list[np.ndarray]) -> int:
    """Return the index of the map that agrees with the others on most pixels (first at a tie)."""
    # About 256 pixels a side are enough to rank the maps, and N² alignments are needed.
    step = max(1, int(np.sqrt(maps[0].size) // 256))
    small = [labels[::step, ::step] for labels in maps]
    scores = [sum(int(np.sum(align_labels(other, one) == one)) for other in small) for one in small]
    return int(np.argmax(scores))
