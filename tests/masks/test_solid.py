"""Clean-up in 3D, and slices that disagree."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from s3net_jax.config import SegmentConfig
from s3net_jax.masks import clean_volume, find_outliers
from s3net_jax.masks.solid import find_central_bodies

CONFIG = SegmentConfig()
OFF = SegmentConfig(drop_border=False, fill_holes=False, min_island=0)
SHAPE = (8, 40, 50)


def box(z: slice, y: slice, x: slice) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[z, y, x] = True
    return mask


ALL, LEFT, RIGHT = slice(None), slice(8, 20), slice(30, 42)
LUNGS = box(ALL, slice(10, 30), LEFT) | box(ALL, slice(10, 30), RIGHT)


def test_nothing_changes_without_steps() -> None:
    random = np.random.default_rng(0).random(SHAPE) < 0.3
    np.testing.assert_array_equal(clean_volume(random, OFF), random)


def test_air_around_the_body_goes_in_all_slices() -> None:
    air = box(ALL, slice(0, 3), ALL)
    np.testing.assert_array_equal(clean_volume(LUNGS | air, CONFIG), LUNGS)
    np.testing.assert_array_equal(clean_volume(air, CONFIG), air)  # nothing else is left
    # A body that reaches the border in one slice only is the same body in the others.
    reaching = box(ALL, slice(20, 30), slice(20, 25)) | box(slice(2, 3), slice(20, 40), ALL)
    alone = box(ALL, slice(4, 12), slice(30, 42))
    np.testing.assert_array_equal(clean_volume(reaching | alone, CONFIG), alone)
    keeping = SegmentConfig(drop_border=False, fill_holes=False, min_island=0)
    np.testing.assert_array_equal(clean_volume(LUNGS | air, keeping), LUNGS | air)


def test_the_ends_of_a_scan_are_no_border() -> None:
    np.testing.assert_array_equal(clean_volume(LUNGS, CONFIG), LUNGS)


def test_holes_of_the_volume_and_small_holes_of_slices_are_filled() -> None:
    block = box(ALL, slice(5, 35), slice(5, 45))
    cavity = box(slice(3, 5), slice(10, 25), slice(10, 30))  # closed in 3D, large in a slice
    vessel = box(ALL, slice(20, 22), slice(38, 40))  # 4 of 2000 pixels, open at the ends
    heart = box(slice(5, None), slice(28, 34), slice(10, 30))  # open at one end
    config = SegmentConfig(drop_border=False)
    found = clean_volume(block & ~cavity & ~vessel & ~heart, config)
    np.testing.assert_array_equal(found, block & ~heart)


def test_islands_are_measured_in_3d() -> None:
    # A thousandth of a slice has 2 pixels: a cube with such faces has 2.8 voxels.
    small = box(slice(2, 3), slice(36, 37), slice(5, 7))
    long = box(slice(2, 5), slice(36, 37), slice(44, 45))
    found = clean_volume(LUNGS | small | long, SegmentConfig(drop_border=False))
    np.testing.assert_array_equal(found, LUNGS | long)
    np.testing.assert_array_equal(clean_volume(small, CONFIG), small)  # the largest one stays


def test_clean_up_is_idempotent_and_empty_masks_stay_empty() -> None:
    noise = np.random.default_rng(1).random(SHAPE) < 0.5
    once = clean_volume(ndimage.binary_opening(noise), CONFIG)
    np.testing.assert_array_equal(clean_volume(once, CONFIG), once)
    assert not clean_volume(np.zeros(SHAPE, bool), CONFIG).any()


def test_small_bodies_at_the_side_are_dropped() -> None:
    gas = box(slice(1, 3), slice(34, 38), slice(2, 6))
    np.testing.assert_array_equal(find_central_bodies(LUNGS | gas, 0.3), LUNGS)
    np.testing.assert_array_equal(find_central_bodies(gas, 0.3), gas)


def stack(areas: list[int]) -> np.ndarray:
    """Draw a mask with the given number of pixels in each slice."""
    mask = np.zeros((len(areas), 10, 10), bool)
    for one, area in zip(mask, areas, strict=True):
        one.ravel()[:area] = True
    return mask


@pytest.mark.parametrize(
    ("areas", "expected"),
    [
        ([0, 2, 9, 40, 90, 60, 20, 3, 0], []),  # the ends of an organ
        ([90, 80, 70, 0, 0], []),
        ([60, 60, 25, 60, 60], [2]),
        ([60, 60, 31, 60, 60], []),
        ([60, 20, 10, 60, 60], [1, 2]),
        ([30, 30, 70, 30, 30], [2]),
        ([30, 30, 55, 30, 30], []),
        ([90, 90, 90, 8, 0, 8, 0], []),  # smaller than a tenth of the largest area
        ([0, 0, 0], []),
        ([40], []),
        ([], []),
    ],
)
def test_slices_that_disagree(areas: list[int], expected: list[int]) -> None:
    assert find_outliers(stack(areas)) == expected
