"""Parts of a mask and what they weigh, discs, and every few pixels."""

from __future__ import annotations

import numpy as np
import pytest

from s3net_jax.masks.shapes import find_central_parts, grow, make_disc, subsample, weigh_parts


def test_discs() -> None:
    np.testing.assert_array_equal(make_disc(0), [[True]])
    np.testing.assert_array_equal(make_disc(1), [[0, 1, 0], [1, 1, 1], [0, 1, 0]])
    mask = np.zeros((9, 11), bool)
    mask[4, 5] = True
    np.testing.assert_array_equal(grow(mask, 3)[1:8, 2:9], make_disc(3))
    assert grow(mask, 3).sum() == make_disc(3).sum()


@pytest.mark.parametrize(
    ("shape", "step", "rows", "columns"),
    [
        ((7, 8), 3, [1, 4], [1, 4, 7]),
        ((7, 8), 1, range(7), range(8)),
        ((8, 7), 4, [2, 6], [2, 6]),
        ((2, 9), 4, [1], [2, 6]),
        ((1, 30), 24, [0], [12]),
    ],
)
def test_every_few_pixels_from_the_middle_of_the_first_step_on(shape, step, rows, columns) -> None:
    labels = np.arange(shape[0] * shape[1]).reshape(shape)
    np.testing.assert_array_equal(subsample(labels, step), labels[np.ix_(rows, columns)])


def test_weights_of_parts() -> None:
    """√area · exp(−2 d²), d in half sides: of 9×13 pixels four and six."""
    mask = np.zeros((9, 13), bool)
    mask[3:6, 5:8] = True  # in the middle
    mask[0, 12] = True  # (4 / 4, 6 / 6) away
    mask[7, 0:3] = True  # (3 / 4, −5 / 6) away
    regions, weights = weigh_parts(mask)
    expected = {
        (4, 6): 3,
        (0, 12): np.exp(-4),
        (7, 1): np.sqrt(3) * np.exp(-2 * (0.75**2 + (5 / 6) ** 2)),
    }
    assert regions.max() == len(weights) == 3
    for place, weight in expected.items():
        assert weights[regions[place] - 1] == pytest.approx(weight)
    _, line = weigh_parts(np.array([[True, False, True]]))  # no distances from above to below
    np.testing.assert_allclose(line, np.exp([-2, -2]))


def test_central_parts() -> None:
    """Two parts of equal weight stay at any share; a lighter one from its share on."""
    mask = np.zeros((9, 13), bool)
    mask[4, 1:3] = mask[4, 10:12] = True
    np.testing.assert_array_equal(find_central_parts(mask, 1.0), mask)
    mask[0, 0] = True
    _, weights = weigh_parts(mask)
    share = float(weights.min() / weights.max())
    np.testing.assert_array_equal(find_central_parts(mask, share * 0.999), mask)
    found = find_central_parts(mask, share * 1.001)
    assert not found[0, 0] and found.sum() == 4
    corner = np.zeros((9, 13), bool)
    corner[0, 0] = True
    np.testing.assert_array_equal(find_central_parts(corner, 1.0), corner)
