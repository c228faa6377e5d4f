"""Intervals and comparisons over images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from scipy import stats

__all__ = ["Comparison", "Mean", "compare", "estimate_mean"]

_RESAMPLES = 10_000


@dataclass(frozen=True)
class Mean:
    """A mean over images with its bootstrap 95 % interval."""

    mean: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Comparison:
    """Of two methods on the same images: the mean difference, its bootstrap 95 % interval, and
    the two-sided p value of Wilcoxon's signed-rank test (1 where all differences are zero)."""

    difference: Mean
    p_value: float


def estimate_mean(values: np.ndarray) -> Mean:
    """Mean and percentile bootstrap (10 000 resamples of the images, seed 0).

    Args:
      values: (N,) finite, N ≥ 1. Of one image the interval is the value.
    """
    values = np.asarray(values, np.float64)
    random = np.random.default_rng(0)
    picks = random.integers(0, len(values), (_RESAMPLES, len(values)))
    low, high = np.percentile(values[picks].mean(1), (2.5, 97.5))
    return Mean(float(values.mean()), float(low), float(high), len(values))


def compare(first: np.ndarray, second: np.ndarray) -> Comparison:
    """``first`` minus ``second``, image by image.

    Args:
      first, second: (N,) values of the same images in the same order.
    """
    difference = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    p = (
        1.0
        if not difference.any()
        else float(cast(tuple[float, float], stats.wilcoxon(difference))[1])
    )
    return Comparison(estimate_mean(difference), p)
