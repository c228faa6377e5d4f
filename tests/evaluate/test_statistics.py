"""Intervals and paired comparisons."""

from __future__ import annotations

import numpy as np
import pytest

from s3net_jax.evaluate import compare, mean_with_interval


def test_the_interval_covers_the_mean_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    covered = [
        found.low <= 5 <= found.high
        for found in (mean_with_interval(random.normal(5, 2, 40)) for _ in range(200))
    ]
    assert 0.89 <= np.mean(covered) <= 0.99


def test_one_image_and_equal_values() -> None:
    found = mean_with_interval(np.array([3.0]))
    assert (found.mean, found.low, found.high, found.count) == (3, 3, 3, 1)
    assert compare(np.ones(5), np.ones(5)).p_value == 1


def test_pairs_tell_what_means_can_not() -> None:
    random = np.random.default_rng(1)
    base = random.normal(70, 20, 30)
    found = compare(base + random.normal(1, 0.5, 30), base)
    assert found.p_value < 1e-4 and 0.7 < found.difference.low < found.difference.high < 1.3
    assert found.difference.mean == pytest.approx(1, abs=0.3)
