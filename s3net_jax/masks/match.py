"""Label maps of the same scene brought to the same labels."""

from __future__ import annotations

import numpy as np

__all__ = ["align_labels", "count_contingency"]


def count_contingency(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """How many pixels have label i in ``first`` and j in ``second``: (I, J) int64.

    Args:
      first, second: integers ≥ 0 of one shape.
    """
    rows, columns = int(first.max(initial=-1)) + 1, int(second.max(initial=-1)) + 1
    pairs = first.ravel().astype(np.int64) * columns + second.ravel()
    return np.bincount(pairs, minlength=rows * columns).reshape(rows, columns)


def align_labels(labels: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """``labels`` renumbered to agree with ``reference`` on as many pixels as a one-to-one
    renumbering can (Hungarian method on the :func:`count_contingency` table).

    Clusters without a partner get the numbers that follow those of the reference.

    Args:
      labels, reference: (H, W) integers ≥ 0.

    Returns:
      (H, W) int32.
    """
    from scipy.optimize import linear_sum_assignment  # slow to import, and rarely needed

    table = count_contingency(labels, reference)
    rows, columns = linear_sum_assignment(table, maximize=True)
    new = np.full(table.shape[0], -1, np.int32)
    for row, column in zip(rows, columns, strict=True):
        if table[row, column] > 0:
            new[row] = column
    free = new < 0
    new[free] = table.shape[1] + np.arange(np.count_nonzero(free))
    return new[labels]
