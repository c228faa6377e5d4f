"""Clean-up of masks: what goes, what stays, and that twice is once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from s3net_jax.config import SegmentConfig
from s3net_jax.masks import clean
from s3net_jax.masks.cleanup import (
    drop_border,
    drop_islands,
    fill_holes,
    find_border_regions,
    find_touching,
    label_regions,
)

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
    for function in (
        lambda mask: clean(mask, config),
        find_border_regions,
        drop_border,
        fill_holes,
    ):
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


@given(masks, configs)
def test_something_of_a_mask_is_left(mask: np.ndarray, config: SegmentConfig) -> None:
    assert (clean(mask, config) & mask).any() == mask.any()


@given(masks)
def test_everything_off_changes_nothing(mask: np.ndarray) -> None:
    np.testing.assert_array_equal(clean(mask, NOTHING), mask)


def test_border_goes_when_something_is_left() -> None:
    inner, outer = box((10, 20, 10, 20)), box((0, 6, 0, 40))
    np.testing.assert_array_equal(drop_border(inner | outer), inner)
    np.testing.assert_array_equal(find_border_regions(inner | outer), outer)


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


@pytest.mark.parametrize(
    ("edges", "is_border"),
    [
        ((2, 98, 4, 196), False),
        ((1, 98, 4, 196), True),
        ((2, 99, 4, 196), True),
        ((2, 98, 3, 196), True),
        ((2, 98, 4, 197), True),
    ],
)
def test_the_border_is_a_fiftieth_of_each_side(
    edges: tuple[int, int, int, int], is_border: bool
) -> None:
    """Of 100×200 pixels two rows and four columns; of few pixels one."""
    top, bottom, left, right = edges
    mask = np.zeros((100, 200), bool)
    mask[top:bottom, left:right] = True
    np.testing.assert_array_equal(find_border_regions(mask), mask & is_border)
    small = np.zeros((9, 9), bool)
    small[1:8, 1:8] = True
    assert not find_border_regions(small).any()
    small[0, 4] = True
    np.testing.assert_array_equal(find_border_regions(small), small)


def test_the_border_gives_way_to_a_two_hundredth_of_the_image() -> None:
    """Eight of 1600 pixels, or nine of 1800 with the holes."""
    cut, inner = box((0, 25, 5, 30)), box((32, 34, 30, 34))
    np.testing.assert_array_equal(drop_border(cut | inner), inner)
    inner[33, 33] = False
    np.testing.assert_array_equal(drop_border(cut | inner), cut | inner)
    mask = np.zeros((36, 50), bool)
    mask[:20] = mask[30:33, 30:33] = True
    mask[31, 31] = False
    assert not drop_border(mask)[:20].any() and drop_border(mask).sum() == 8
    mask[31, 32] = False
    np.testing.assert_array_equal(drop_border(mask), mask)


def test_a_border_region_gives_way_in_one_mask_and_stays_in_the_next() -> None:
    """Whatever else is off."""
    cut, small, large = box((0, 25, 5, 30)), box((35, 36, 35, 36)), box((30, 36, 30, 36))
    config = SegmentConfig(fill_holes=False, min_island=0.0)
    found = clean(np.stack((cut | small, cut | large, small)), config)
    np.testing.assert_array_equal(found, np.stack((cut | small, large, small)))


def test_islands_of_the_smallest_size_stay() -> None:
    parts = box((10, 20, 10, 20), (30, 33, 30, 33))
    np.testing.assert_array_equal(drop_islands(parts, 9 / 1600), parts)
    np.testing.assert_array_equal(drop_islands(parts, 9.5 / 1600), box((10, 20, 10, 20)))
    equal = box((10, 13, 10, 13), (30, 33, 30, 33))
    np.testing.assert_array_equal(drop_islands(equal, 0.1), box((10, 13, 10, 13)))


def test_regions_meet_at_sides_and_holes_too() -> None:
    """Neither at corners; and the regions of one mask are none of the next one's."""
    corners = np.eye(4, dtype=bool)
    assert label_regions(corners).max() == 4
    regions = label_regions(np.stack((corners, np.ones((4, 4), bool))))
    assert regions[1].min() == regions[1].max() == 5
    plus = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], bool)
    np.testing.assert_array_equal(
        fill_holes(np.pad(plus, 1))[1:-1, 1:-1], [[0, 1, 0], [1, 1, 1], [0, 1, 0]]
    )


def test_touching_keeps_to_the_strips() -> None:
    regions = np.zeros((8, 9), int)
    regions[1, 4], regions[6, 4], regions[4, 2], regions[4, 6], regions[4, 4] = 1, 2, 3, 4, 5
    for rows, columns, expected in [
        (1, 1, []),
        (2, 1, [1, 2]),
        (1, 3, [3, 4]),
        (2, 3, [1, 2, 3, 4]),
    ]:
        found = find_touching(regions, rows, columns)
        assert sorted(regions[found]) == expected and found.dtype == bool
    np.testing.assert_array_equal(find_touching(regions, 5, 1), regions > 0)
