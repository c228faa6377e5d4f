"""Clean-up of masks: what goes, what stays, and that twice is once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from s3net_jax.config import SegmentConfig
from s3net_jax.masks import clean
from s3net_jax.masks.cleanup import border_regions, drop_border, drop_islands, fill_holes

NOTHING = SegmentConfig(drop_border=False, fill_holes=False, min_island=0.0)
masks = hnp.arrays(bool, st.tuples(st.integers(8, 20), st.integers(8, 20)))
configs = st.builds(
    SegmentConfig,
    drop_border=st.booleans(),
    fill_holes=st.booleans(),
    min_island=st.sampled_from([0.0, 0.01, 0.1]),
)


def box(*corners: tuple[int, int, int, int]) -> np.ndarray:
    """(40, 40) mask of rectangles (top, bottom, left, right)."""
    mask = np.zeros((40, 40), bool)
    for top, bottom, left, right in corners:
        mask[top:bottom, left:right] = True
    return mask


@given(masks, configs)
def test_twice_is_once(mask: np.ndarray, config: SegmentConfig) -> None:
    once = clean(mask, config)
    np.testing.assert_array_equal(clean(once, config), once)


@given(masks, configs)
def test_flips_and_turns_commute(mask: np.ndarray, config: SegmentConfig) -> None:
    """Up to the choice among islands of equal size, which stays off here."""
    config = SegmentConfig(config.target, config.drop_border, config.fill_holes, 0.0)
    for move in (np.flipud, np.fliplr, np.transpose):
        np.testing.assert_array_equal(clean(move(mask), config), move(clean(mask, config)))


@given(st.lists(hnp.arrays(bool, (11, 14)), min_size=1, max_size=5), configs)
def test_many_masks_at_once_are_one_by_one(several: list[np.ndarray], config) -> None:
    stack = np.stack(several)
    for function in (lambda mask: clean(mask, config), border_regions, drop_border, fill_holes):
        np.testing.assert_array_equal(function(stack), [function(mask) for mask in several])
    nested = clean(np.stack((stack, ~stack)), config)
    np.testing.assert_array_equal(nested[1], [clean(~mask, config) for mask in several])


def test_masks_of_every_kind_at_once() -> None:
    """Where the border gives way in some, and nothing or everything is left in others."""
    empty, full = box(), ~box()
    both = box((0, 6, 0, 40), (10, 20, 10, 20), (30, 31, 30, 31))
    cut, ring = (
        box((0, 25, 5, 30), (35, 37, 35, 37)),
        box((10, 30, 10, 30)) & ~box((15, 25, 15, 25)),
    )
    several = [empty, both, full, cut, ring, empty, both.T]
    for config in (SegmentConfig(), SegmentConfig(fill_holes=False), NOTHING):
        found = clean(np.stack(several), config)
        np.testing.assert_array_equal(found, [clean(mask, config) for mask in several])
    assert clean(np.zeros((0, 9, 9), bool), SegmentConfig()).shape == (0, 9, 9)


@given(masks)
def test_everything_off_changes_nothing(mask: np.ndarray) -> None:
    np.testing.assert_array_equal(clean(mask, NOTHING), mask)


def test_border_goes_when_something_is_left() -> None:
    inner, outer = box((10, 20, 10, 20)), box((0, 6, 0, 40))
    np.testing.assert_array_equal(drop_border(inner | outer), inner)
    np.testing.assert_array_equal(border_regions(inner | outer), outer)


def test_a_target_cut_by_the_border_survives_its_specks() -> None:
    lesion, speck = box((0, 25, 5, 30)), box((35, 37, 35, 37))
    np.testing.assert_array_equal(drop_border(lesion | speck), lesion | speck)
    np.testing.assert_array_equal(drop_border(lesion), lesion)


def test_air_around_a_body_goes_before_holes_are_filled() -> None:
    air = ~box((4, 36, 4, 36))
    lungs = box((10, 30, 8, 18), (10, 30, 22, 32))
    vessel = box((15, 17, 10, 12))
    np.testing.assert_array_equal(clean((air | lungs) & ~vessel, SegmentConfig()), lungs)


def test_holes() -> None:
    ring = box((10, 30, 10, 30)) & ~box((15, 25, 15, 25))
    np.testing.assert_array_equal(fill_holes(ring), box((10, 30, 10, 30)))
    open_ring = ring & ~box((10, 15, 18, 20))
    np.testing.assert_array_equal(fill_holes(open_ring), open_ring)


@pytest.mark.parametrize(("smallest", "kept"), [(0.0, 3), (0.004, 2), (0.9, 1)])
def test_islands(smallest: float, kept: int) -> None:
    parts = [(10, 20, 10, 20), (30, 33, 30, 33), (2, 4, 2, 4)]  # 100, 9 and 4 of 1600 pixels
    expected = box(*parts[:kept])
    np.testing.assert_array_equal(drop_islands(box(*parts), smallest), expected)


def test_empty_masks_stay_empty() -> None:
    assert not clean(np.zeros((9, 9), bool), SegmentConfig()).any()
