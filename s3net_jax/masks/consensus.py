"""One label map out of several fits of the same image, and how far they agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from s3net_jax.masks.labels import compact_labels
from s3net_jax.masks.match import align_labels

__all__ = ["Consensus", "consensus"]


@dataclass(frozen=True, eq=False)
class Consensus:
    """What several label maps agree on.

    Attributes:
      labels: (H, W) int32, 0..L−1 by decreasing area: each pixel's most frequent label.
      agreement: (H, W) float32 in (0, 1]: the share of the maps that give it this label.
      aligned: (N, H, W) int32: the maps, renumbered to the one that agrees with the others most.
    """

    labels: np.ndarray
    agreement: np.ndarray
    aligned: np.ndarray


def consensus(label_maps: Sequence[np.ndarray]) -> Consensus:
    """The majority of label maps that number the same clusters differently.

    All are aligned (:func:`align_labels`) to the map that agrees best with the others; then every
    pixel takes its most frequent label, at a tie that of the best map.

    Args:
      label_maps: (H, W) integers ≥ 0 each, of one shape.

    Raises:
      ValueError: no maps, of several shapes, without pixels, or with labels below 0.
      TypeError: maps that are not of integers.
    """
    maps = [np.asarray(labels) for labels in label_maps]
    shapes = {labels.shape for labels in maps}
    if len(shapes) != 1:
        found = sorted(shapes) or "none"
        raise ValueError(f"consensus takes label maps of one shape; these have {found}.")
    for labels in maps:
        if not np.issubdtype(labels.dtype, np.integer):
            raise TypeError(f"consensus takes maps of integers, not of {labels.dtype}.")
        if labels.ndim != 2 or labels.size == 0 or labels.min() < 0:
            raise ValueError(
                f"consensus takes label maps (H, W) with labels of 0 or more; one of shape "
                f"{labels.shape} is none."
            )
    # Unsigned ones, as files have, can't say −1, which the alignment does.
    maps = [labels.astype(np.int64) for labels in maps]
    centre = _find_most_agreeing(maps)
    aligned = np.stack([align_labels(labels, maps[centre]) for labels in maps])
    best_count = np.count_nonzero(aligned == aligned[centre], axis=0).astype(np.int32)
    best = aligned[centre].copy()
    # Label by label: a table of all votes would be large for large images.
    for label in np.unique(aligned):
        count = np.count_nonzero(aligned == label, axis=0)
        wins = count > best_count
        best[wins] = label
        best_count[wins] = count[wins]
    agreement = (best_count / len(maps)).astype(np.float32)
    return Consensus(compact_labels(best), agreement, aligned)


def _find_most_agreeing(maps: list[np.ndarray]) -> int:
    """The place of the map that agrees with the others on most pixels; the first at a tie."""
    step = max(1, int(np.sqrt(maps[0].size) // 256))
    small = [labels[::step, ::step] for labels in maps]
    scores = [sum(int(np.sum(align_labels(other, one) == one)) for other in small) for one in small]
    return int(np.argmax(scores))
