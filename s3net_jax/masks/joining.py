"""Label maps of neighbouring pieces (slices, tiles) brought to common labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from s3net_jax.masks.match import count_contingency

__all__ = ["LabelPool", "find_majority_labels"]

_NEAR = 0.08  # difference of grey or colour, of 1, at which likeness has fallen to 1/e
_ENOUGH = 0.6  # of 2: overlap and likeness that make two clusters one


class LabelPool:
    """Common labels, given out piece by piece.

    A cluster of a new piece takes the label of a known cluster if they overlap where both are
    known, and look alike: the pairs are chosen together (Hungarian method) by intersection over
    union plus exp(−(difference of mean colour / 0.08)²). A pair under 0.6 of 2 is none, and the
    cluster gets a label of its own.
    """

    def __init__(self) -> None:
        self._sums: list[np.ndarray] = []  # colours times pixels
        self._counts: list[int] = []

    @property
    def count(self) -> int:
        """How many labels were given out."""
        return len(self._counts)

    def add(self, labels: np.ndarray, colors: np.ndarray, known: np.ndarray) -> np.ndarray:
        """``labels`` in common labels.

        Args:
          labels: (H, W) integers 0..L−1 of the new piece.
          colors: (H, W, C) floats in [0, 1], to compare clusters by.
          known: (H, W) common labels of what the piece shares with earlier ones, −1 elsewhere.

        Returns:
          (H, W) int32.
        """
        count = int(labels.max()) + 1
        areas = np.bincount(labels.ravel())
        sums = np.stack(
            [np.bincount(labels.ravel(), colors[..., c].ravel()) for c in range(colors.shape[-1])],
            -1,
        )
        new = np.full(count, -1, np.int32)
        if self._counts:
            from scipy.optimize import linear_sum_assignment  # slow to import, and rarely needed

            score = self._compute_overlap(labels, known, count) + self._compute_likeness(
                sums, areas
            )
            score[areas == 0] = 0  # a label without pixels looks black, and would take a partner
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
        """(L, labels known) intersection over union, inside the shared part."""
        shared = known >= 0
        table = np.zeros((count, self.count))
        if shared.any():
            part = count_contingency(labels[shared], known[shared])
            table[: part.shape[0], : part.shape[1]] = part
        union = table.sum(1, keepdims=True) + table.sum(0, keepdims=True) - table
        return table / np.maximum(union, 1)

    def _compute_likeness(self, sums: np.ndarray, areas: np.ndarray) -> np.ndarray:
        """(L, labels known) in (0, 1]."""
        new = sums / np.maximum(areas, 1)[:, None]
        old = np.stack(self._sums) / np.array(self._counts)[:, None]
        apart = np.linalg.norm(new[:, None] - old[None], axis=-1) / np.sqrt(new.shape[-1])
        return np.exp(-((apart / _NEAR) ** 2))


def find_majority_labels(
    label_maps: Sequence[np.ndarray], targets: Sequence[Sequence[int]]
) -> tuple[int, ...]:
    """The common labels that are the target where most of their pixels lie.

    Args:
      label_maps: common labels of each piece.
      targets: the common labels chosen in each piece.

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
