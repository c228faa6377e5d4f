"""Fit the logistic map, and measure how well an expected DSC finds the bad masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit
from scipy.stats import rankdata

__all__ = ["SHRINK", "calibrate", "compute_auroc", "cross_validate", "fit_weights", "summarize"]

SHRINK = 1e-3
"""Weight of the sum of squared coefficients. It keeps coefficients of measures that say the same
from growing against each other, so that none is left out. The result file has the errors for other
values, by cross-validation on the half of the choice; they are flat."""
_FOLDS = 8
"""Parts of a cross-validation that are left out in turn: every eighth image is in one."""
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


def calibrate(
    measures: np.ndarray, scores: np.ndarray, groups: Sequence[str], shrink: float = SHRINK
) -> np.ndarray:
    """Fit a logistic map from measures to DSC whose steepness does not suffer from the shrinkage.

    Shrunk weights expect too little of good masks and too much of bad ones. Therefore the logit t
    of :func:`fit_weights` is replaced by a + b t, a monotone map, with a and b fitted without
    shrinkage to the expectations of a cross-validation.

    Args:
      measures, scores, shrink: as for :func:`fit_weights`.
      groups: for each result, its image.

    Returns:
      (1 + K,) the constant a + b w₀, then the weights b wₖ.
    """

    def fit(some: np.ndarray) -> np.ndarray:
        return fit_weights(measures[some], scores[some], shrink)

    weights, expected = fit(np.ones(len(scores), bool)), cross_validate(fit, measures, groups)
    offset, steepness = fit_weights(logit(expected)[:, None], scores, 0)
    return np.array([offset, *np.zeros(measures.shape[1])]) + steepness * weights


def cross_validate(
    fit: Callable[[np.ndarray], np.ndarray], measures: np.ndarray, groups: Sequence[str]
) -> np.ndarray:
    """Expect the DSC of each result by weights that were fitted on other images.

    Args:
      fit: function from the results to use, (N,) bool, to (1 + K,) weights.
      measures: (N, K) values of the measures.
      groups: for each result, its image; the results of an image are left out together.

    Returns:
      (N,) expected DSC.
    """
    numbers = np.unique(np.array(groups), return_inverse=True)[1] % _FOLDS
    expected = np.zeros(len(measures))
    for fold in range(_FOLDS):
        out = numbers == fold
        if out.any():
            weights = fit(~out)
            expected[out] = expit(weights[0] + measures[out] @ weights[1:])
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
