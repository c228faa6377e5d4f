"""Compare perimeter and diameters with slow references."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage import measure

from s3net_jax.measure.shapes import compute_diameters, compute_perimeter, find_hull

masks = st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(0, 10**6)).map(
    lambda it: np.random.default_rng(it[2]).random(it[:2]) < 0.4
)


@given(masks)
def test_square_pixels_are_measured_as_by_skimage(mask: np.ndarray) -> None:
    assert compute_perimeter(mask) == pytest.approx(measure.perimeter_crofton(mask, 4))
    assert compute_perimeter(mask, 0.3, 0.3) == pytest.approx(0.3 * compute_perimeter(mask))


def count_crossings(mask: np.ndarray, step: tuple[int, int]) -> int:
    """Go along every line of pixels in one direction, and count the changes."""
    padded = np.pad(mask, max(mask.shape))
    changes = 0
    for y, x in np.ndindex(*padded.shape):
        there = y + step[0], x + step[1]
        if 0 <= there[0] < padded.shape[0] and 0 <= there[1] < padded.shape[1]:
            changes += bool(padded[y, x] != padded[there])
    return changes


@given(masks)
def test_oblong_pixels(mask: np.ndarray) -> None:
    """Crofton's formula, direction by direction."""
    row, column = 0.7, 0.2
    angles = sorted([(0.0, (0, 1)), (math.atan2(row, column), (1, 1)), (math.pi / 2, (1, 0)),
                     (math.pi - math.atan2(row, column), (1, -1))])  # fmt: skip
    total = 0.0
    for n, (angle, step) in enumerate(angles):
        before = angles[n - 1][0] - (math.pi if n == 0 else 0)
        after = angles[(n + 1) % 4][0] + (math.pi if n == 3 else 0)
        length = math.hypot(step[0] * row, step[1] * column)
        apart = row * column / length  # each line meets one pixel every `length`
        assert before < angle < after
        total += (after - before) / 2 * apart * count_crossings(mask, step)
    assert compute_perimeter(mask, row, column) == pytest.approx(total / 2)


def list_corners(mask: np.ndarray) -> np.ndarray:
    sides = list(itertools.product((0, 1), repeat=mask.ndim))
    return np.concatenate([np.argwhere(mask) + side for side in sides]).astype(float)


@given(masks, st.sampled_from([(1.0, 1.0), (0.7, 0.2)]))
def test_diameters(mask: np.ndarray, lengths: tuple[float, float]) -> None:
    if not mask.any():
        return
    corners = list_corners(mask) * lengths
    apart = np.linalg.norm(corners[:, None] - corners, axis=-1)
    largest, smallest = compute_diameters(find_hull(mask) * lengths)
    assert largest == pytest.approx(apart.max())
    # The narrowest strip touches two corners on one side: the normals of all pairs suffice.
    sides = (corners[:, None] - corners)[apart > 0]
    normals = np.stack([-sides[:, 1], sides[:, 0]]) / apart[apart > 0]
    heights = corners @ normals
    widths = heights.max(0) - heights.min(0)
    assert smallest == pytest.approx(widths.min())


def test_diameter_of_a_volume() -> None:
    mask = np.random.default_rng(0).random((4, 6, 5)) < 0.05
    axes = np.array([[3, 0.5, 0], [0, 1, 0], [0, 0, 0.5]])  # sheared slices
    corners = list_corners(mask) @ axes
    apart = np.linalg.norm(corners[:, None] - corners, axis=-1)
    largest, smallest = compute_diameters(find_hull(mask) @ axes)
    assert largest == pytest.approx(apart.max()) and math.isnan(smallest)
