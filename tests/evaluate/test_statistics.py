"""Intervals and paired comparisons."""

from __future__ import annotations

import numpy as np
import pytest

from s3net_jax.evaluate import compare, estimate_mean


def test_the_interval_covers_the_mean_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    covered = [
        found.low <= 5 <= found.high
        for found in (estimate_mean(random.normal(5, 2, 40)) for _ in range(200))
    ]
    assert 0.89 <= np.mean(covered) <= 0.99


def test_one_image_and_equal_values() -> None:
    found = estimate_mean(np.array([3.0]))
    assert (found.mean, found.low, found.high, found.count) == (3, 3, 3, 1)
    assert compare(np.ones(5), np.ones(5)).p_value == 1


def test_pairs_tell_what_means_can_not() -> None:
    random = np.random.default_rng(1)
    base = random.normal(70, 20, 30)
    found = compare(base + random.normal(1, 0.5, 30), base)
    assert found.p_value < 1e-4 and 0.7 < found.difference.low < found.difference.high < 1.3
    assert found.difference.mean == pytest.approx(1, abs=0.3)


def test_the_interval_is_that_of_ten_thousand_resamples() -> None:
    """Published intervals can be computed again: seed 0, percentiles 2.5 and 97.5."""
    values = np.random.default_rng(1).normal(80, 9, 17)
    picks = np.random.default_rng(0).integers(0, 17, (10_000, 17))
    means = np.sort(values[picks].mean(1))
    found = estimate_mean(values)
    assert (found.mean, found.count) == (pytest.approx(values.mean()), 17)
    # A part of the way from the 250th to the 251st, on either side.
    assert found.low == pytest.approx(means[249] + 0.975 * (means[250] - means[249]), rel=1e-12)
    assert found.high == pytest.approx(means[9749] + 0.025 * (means[9750] - means[9749]), rel=1e-12)


def test_p_values_and_the_sign_of_a_difference() -> None:
    second, more = np.array([3.0, 1, 4, 1, 5]), np.arange(1, 6)
    found = compare(second + more, second)
    assert found.p_value == pytest.approx(2 / 2**5)  # all five the same way
    assert found.difference.mean == 3 and found.difference.count == 5
    assert compare(second, second + more).difference.mean == -3
    more[1] = -2
    # Three of the 32 sums of ranks are 2 or less.
    assert compare(second + more, second).p_value == pytest.approx(6 / 2**5)
