"""Give the label maps of neighbouring pieces (slices, tiles) common labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from s3net_jax.masks.match import count_contingency

__all__ = ["LabelPool", "find_majority_labels"]

# Not tuned, and no reason is recorded: no data set has ground truth for the labels of every slice
# or tile.
_NEAR = 0.08  # root-mean-square colour difference, in [0, 1], at which similarity is 1/e
_ENOUGH = 0.6  # smallest sum of overlap and similarity, each at most 1, of a matched pair


class LabelPool:
    """Assign common labels to clusters, piece by piece.

    A cluster of a new piece takes the label of a known cluster that overlaps it in the shared
    region and has a similar colour. The Hungarian method finds the pairs that maximise the sum of
    intersection over union and exp(−(difference of mean colour / 0.08)²). A pair that scores less
    than 0.6, out of 2, is rejected and the cluster gets a new label.
    """

    def __init__(self) -> None:
        self._sums: list[np.ndarray] = []  # summed colours of each label
        self._counts: list[int] = []

    @property
    def count(self) -> int:
        """Number of labels assigned so far."""
        return len(self._counts)

    def add(self, labels: np.ndarray, colors: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Add a piece and translate its labels into common labels.

        Args:
          labels: (H, W) integer labels 0..L−1 of the new piece.
          colors: (H, W, C) floating-point colours in [0, 1], used to compare clusters.
          known: (H, W) common labels in the region shared with earlier pieces, −1 elsewhere.

        Returns:
          (H, W) int32 common labels.
        """
        count = int(labels.max()) + 1
        areas = np.bincount(labels.ravel())
        sums = np.stack(
            [np.bincount(labels.ravel(), colors[..., c].ravel()) for c in range(colors.shape[-1])],
            -1,
        )
        new = np.full(count, -1, np.int32)
        if self._counts:
            from scipy.optimize import linear_sum_assignment  # slow import, rarely needed

            score = self._compute_overlap(labels, known, count) + self._compute_likeness(
                sums, areas
            )
            score[areas == 0] = 0  # an empty label has mean colour 0: it would match a black one
            for row, column in zip(*linear_sum_assignment(score, maximize=True), strict=True):
                if score[row, column] >= _ENOUGH:
                    new[row] = column
        for label in np.flatnonzero((new < 0) & (areas > 0)):
            new[label] = len(self._counts)
            self._counts.append(0)
            self._sums.append(np.zeros(colors.shape[-1]))
        for label in np.flatnonzero(areas):
            self._counts[new[label]] += int(areas[label])
            self._sums[new[label]] = self._sums[new[label]] + sums[label]
        return new[labels]

    def _compute_overlap(self, labels: np.ndarray, known: np.ndarray, count: int) -> np.ndarray:
        """Compute intersection over union within the shared region: (L, known labels)."""
        shared = known >= 0
        table = np.zeros((count, self.count))
        if shared.any():
            part = count_contingency(labels[shared], known[shared])
            table[: part.shape[0], : part.shape[1]] = part
        union = table.sum(1, keepdims=True) + table.sum(0, keepdims=True) - table
        return table / np.maximum(union, 1)

    def _compute_likeness(self, sums: np.ndarray, areas: np.ndarray) -> np.ndarray:
        """Compute the colour similarity in (0, 1]: (L, known labels)."""
        new = sums / np.maximum(areas, 1)[:, None]
        old = np.stack(self._sums) / np.array(self._counts)[:, None]
        apart = np.linalg.norm(new[:, None] - old[None], axis=-1) / np.sqrt(new.shape[-1])
        return np.exp(-((apart / _NEAR) ** 2))


def find_majority_labels(
    label_maps: Sequence[np.ndarray], targets: Sequence[Sequence[int]]
) -> tuple[int, ...]:
    """Return the common labels that belong to the target in the majority of their pixels.

    Args:
      label_maps: common label map of each piece.
      targets: labels chosen as the target in each piece.

    Returns:
      Labels in ascending order.
    """
    chosen: dict[int, int] = {}
    total: dict[int, int] = {}
    for labels, target in zip(label_maps, targets, strict=True):
        values, counts = np.unique(labels, return_counts=True)
        for value, count in zip(values.tolist(), counts.tolist(), strict=True):
            total[value] = total.get(value, 0) + count
            if value in target:
                chosen[value] = chosen.get(value, 0) + count
    return tuple(sorted(v for v, count in chosen.items() if 2 * count > total[v] and v >= 0))
