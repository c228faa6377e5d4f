"""Fit the logistic map, and measure how well an expected DSC finds the bad masks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import rankdata

__all__ = ["SHRINK", "compute_auroc", "cross_validate", "fit_weights", "summarize"]

SHRINK = 1e-4
"""Weight of the sum of squared coefficients. It keeps coefficients of measures that say the same
from growing against each other."""
_BINS = (0.0, 0.5, 0.7, 0.8, 0.9, 1.0)
"""Edges of the bins of expected DSC."""


def fit_weights(measures: np.ndarray, scores: np.ndarray, shrink: float = SHRINK) -> np.ndarray:
    """Fit a logistic map from measures to DSC.

    Minimises the mean of (p − y)² with p = 1 / (1 + exp(−(w₀ + x·w))), plus ``shrink`` · |w|², with
    every w ≥ 0, because all measures are larger for better masks.

    Args:
      measures: (N, K) values of the measures.
      scores: (N,) DSC in [0, 1].
      shrink: weight of |w|².

    Returns:
      (1 + K,) the constant w₀, then the weights.
    """
    table = np.column_stack([np.ones(len(measures)), measures])

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        expected = expit(table @ weights)
        error = expected - scores
        value = np.mean(error**2) + shrink * (weights[1:] @ weights[1:])
        slope = 2 * table.T @ (error * expected * (1 - expected)) / len(scores)
        slope[1:] += 2 * shrink * weights[1:]
        return float(value), slope

    bounds = [(None, None)] + [(0, None)] * measures.shape[1]
    options = {"ftol": 1e-12, "gtol": 1e-8}  # three decimals must not depend on the machine
    start = np.zeros(table.shape[1])
    found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options=options)
    return found.x


def cross_validate(
    measures: np.ndarray, scores: np.ndarray, groups: Sequence[str], shrink: float, folds: int = 8
) -> np.ndarray:
    """Predict the DSC of each result by weights that were fitted on other images.

    Args:
      measures, scores, shrink: as for :func:`fit_weights`.
      groups: for each result, its image; the results of an image are left out together.
      folds: number of parts that are left out in turn; every ``folds``-th image is in one.

    Returns:
      (N,) expected DSC.
    """
    numbers = np.unique(np.array(groups), return_inverse=True)[1] % folds
    expected = np.zeros(len(scores))
    for fold in range(folds):
        out = numbers == fold
        found = fit_weights(measures[~out], scores[~out], shrink)
        expected[out] = expit(found[0] + measures[out] @ found[1:])
    return expected


def compute_auroc(values: np.ndarray, is_bad: np.ndarray) -> float | None:
    """Compute the probability that a bad mask has a lower value than a good one.

    The area under the receiver operating characteristic, from the ranks; ties count half. None if
    all masks are good or all are bad.

    Args:
      values: (N,) expected DSC.
      is_bad: (N,) bool.
    """
    bad = int(np.count_nonzero(is_bad))
    good = len(is_bad) - bad
    if not bad or not good:
        return None
    ranks = rankdata(-values)[is_bad].sum()
    return float((ranks - bad * (bad + 1) / 2) / (bad * good))


def summarize(rows: Sequence[dict[str, Any]], below: float) -> dict[str, Any]:
    """Summarize how well the expected DSC of results finds the bad masks.

    Args:
      rows: results with ``dsc`` and ``expected_dsc``, both in [0, 1].
      below: expected DSC below which a mask is flagged.

    Returns:
      Counts, means, AUROC for DSC below .7 and below .8, the flagged results among the worst tenth
      (rounded up), and the calibration: mean expected and true DSC in bins of expected DSC.
    """
    score = np.array([row["dsc"] for row in rows])
    expected = np.array([row["expected_dsc"] for row in rows])
    flagged = expected < below
    worst = np.argsort(score, kind="stable")[: -(-len(score) // 10)]
    bins = []
    for low, high in pairwise(_BINS):
        inside = (expected >= low) & ((expected < high) | (high == _BINS[-1]))
        if inside.any():
            means = {"expected": _round(expected[inside]), "dsc": _round(score[inside])}
            bins.append({"low": low, "high": high, "number": int(inside.sum()), **means})
    areas = {limit: compute_auroc(expected, score < limit) for limit in (0.7, 0.8)}
    return {
        "number": len(rows),
        "mean_dsc": _round(score),
        "mean_expected": _round(expected),
        "mean_error": _round(np.abs(expected - score)),
        "flagged": int(flagged.sum()),
        "mean_dsc_kept": _round(score[~flagged]),
        "mean_dsc_flagged": _round(score[flagged]),
        "below_70": int((score < 0.7).sum()),
        "below_80": int((score < 0.8).sum()),
        "below_80_flagged": int((flagged & (score < 0.8)).sum()),
        "auroc_70": _round_area(areas[0.7]),
        "auroc_80": _round_area(areas[0.8]),
        "worst_tenth": len(worst),
        "worst_tenth_flagged": int(flagged[worst].sum()),
        "bins": bins,
    }


def _round(values: np.ndarray) -> float | None:
    return round(float(values.mean()), 4) if values.size else None


def _round_area(area: float | None) -> float | None:
    return None if area is None else round(area, 4)
