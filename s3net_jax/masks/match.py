"""Match the labels of two label maps of the same scene."""

from __future__ import annotations

import numpy as np

__all__ = ["align_labels", "count_contingency"]


def count_contingency(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Count the pixels that have label i in ``first`` and label j in ``second``.

    Args:
      first, second: integer label maps of one shape, with labels of at least 0.

    Returns:
      (I, J) int64 contingency table.
    """
    rows, columns = int(first.max(initial=-1)) + 1, int(second.max(initial=-1)) + 1
    pairs = first.ravel().astype(np.int64) * columns + second.ravel()
    return np.bincount(pairs, minlength=rows * columns).reshape(rows, columns)


def align_labels(labels: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Renumber ``labels`` one-to-one so that it agrees with ``reference`` on most pixels.

    The Hungarian method solves this exactly on the :func:`count_contingency` table. Clusters
    without a partner get numbers above those of the reference.

    Args:
      labels, reference: (H, W) integer label maps with labels of at least 0.

    Returns:
      (H, W) int32 label map.
    """
    from scipy.optimize import linear_sum_assignment  # slow import, rarely needed

    table = count_contingency(labels, reference)
    rows, columns = linear_sum_assignment(table, maximize=True)
    new = np.full(table.shape[0], -1, np.int32)
    for row, column in zip(rows, columns, strict=True):
        if table[row, column] > 0:
            new[row] = column
    free = new < 0
    new[free] = table.shape[1] + np.arange(np.count_nonzero(free))
    return new[labels]
