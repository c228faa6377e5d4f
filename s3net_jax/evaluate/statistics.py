"""Compute confidence intervals and paired comparisons over images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from scipy import stats

__all__ = ["Comparison", "Mean", "compare", "estimate_mean"]

_RESAMPLES = 10_000


@dataclass(frozen=True)
class Mean:
    """A mean over images with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Comparison:
    """A paired comparison of two methods on the same images.

    Attributes:
      difference: mean difference with its 95 % bootstrap interval.
      p_value: two-sided p value of Wilcoxon's signed-rank test; 1 if all differences are zero.
    """

    difference: Mean
    p_value: float


def estimate_mean(values: np.ndarray) -> Mean:
    """Estimate the mean and its 95 % percentile bootstrap interval.

    The bootstrap resamples images 10,000 times with seed 0, so results are reproducible.

    Args:
      values: (N,) finite values of images, N ≥ 1. For N = 1 the interval is the value itself.
    """
    values = np.asarray(values, np.float64)
    random = np.random.default_rng(0)
    picks = random.integers(0, len(values), (_RESAMPLES, len(values)))
    low, high = np.percentile(values[picks].mean(1), (2.5, 97.5))
    return Mean(float(values.mean()), float(low), float(high), len(values))


def compare(first: np.ndarray, second: np.ndarray) -> Comparison:
    """Compare ``first`` minus ``second``, paired by image.

    Args:
      first, second: (N,) values for the same images in the same order.
    """
    difference = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    p = (
        1.0
        if not difference.any()
        else float(cast(tuple[float, float], stats.wilcoxon(difference))[1])
    )
    return Comparison(estimate_mean(difference), p)
