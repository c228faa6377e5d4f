"""Pairs of views: what the second one shows, and how its maps return to the first one."""

from __future__ import annotations

import colorsys
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from s3net_jax.config import IICConfig
from s3net_jax.methods.iic.colors import jitter_colors, shift_hue
from s3net_jax.methods.iic.views import align, compute_crop_shape, draw_views

KEY = jax.random.key(3)
SAME_COLORS: dict[str, Any] = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}
PLAIN = IICConfig(**SAME_COLORS, crops=5, crop_side=0.5, flip=False)


def random_images(count: int = 2, shape=(12, 10), channels: int = 3) -> jnp.ndarray:
    values = np.random.default_rng(0).random((count, *shape, channels))
    return jnp.asarray(values, jnp.float32)


def smooth_images(count: int, side: int) -> jnp.ndarray:
    """Waves that bilinear sampling reproduces well."""
    y, x = np.mgrid[:side, :side] / side
    phases = np.arange(count)[:, None, None]
    maps = [np.sin(3 * y + phases), np.cos(2 * x - y + phases), np.sin(2 * x * y + phases)]
    return jnp.asarray(np.stack(maps, -1) / 2 + 0.5, jnp.float32)


def test_first_views_are_crops_of_their_images():
    images = random_images()
    views = draw_views(KEY, images, PLAIN)
    assert views.first.shape == (10, 6, 5, 3)
    places = set()
    for number, crop in enumerate(np.asarray(views.first)):
        image = np.asarray(images[number // 5])
        found = [
            (y, x)
            for y in range(7)
            for x in range(6)
            if np.array_equal(image[y : y + 6, x : x + 5], crop)
        ]
        assert len(found) == 1
        places.update(found)
    assert len(places) > 5
    np.testing.assert_array_equal(views.second, views.first)
    assert align(views.second, views)[1] is None


def test_every_place_can_be_cropped():
    whole = dataclasses.replace(PLAIN, crops=300, crop_side=0.75)
    image = jnp.arange(16.0).reshape(1, 4, 4, 1) / 16
    assert compute_crop_shape((4, 4), whole) == (3, 3)
    corners = np.asarray(draw_views(KEY, image, whole).first[:, 0, 0, 0]) * 16
    assert set(corners) == {0, 1, 4, 5}


def test_flipped_views_return_exactly_and_every_pixel_counts():
    settings = dataclasses.replace(PLAIN, crops=20, flip=True)
    views = draw_views(KEY, random_images(1), settings)
    flipped = np.asarray(views.flipped)
    assert 4 < flipped.sum() < 16
    first, second = np.asarray(views.first), np.asarray(views.second)
    np.testing.assert_array_equal(second[flipped], first[flipped][:, :, ::-1])
    np.testing.assert_array_equal(second[~flipped], first[~flipped])
    aligned, valid = align(views.second, views)
    np.testing.assert_array_equal(aligned, first)
    assert valid is None


def test_affine_views_return_to_where_they_came_from():
    settings = dataclasses.replace(
        PLAIN, crops=6, crop_side=1.0, flip=True, rotation=30.0, shear=10.0, scale=0.2
    )
    views = draw_views(KEY, smooth_images(2, 40), settings)
    aligned, valid = align(views.second, views)
    assert valid is not None and valid.shape == (12, 40, 40)
    assert 0.5 < np.mean(np.asarray(valid)) < 1
    # Both interpolations blend the outermost pixels with the zeros outside, within two pixels.
    shown = np.asarray(valid)
    block = np.ones((5, 5), bool)
    inner = np.array([ndimage.binary_erosion(mask, block) for mask in shown], bool)
    outer = np.array([ndimage.binary_dilation(mask, block) for mask in shown], bool)
    aligned = np.asarray(aligned)
    assert np.abs(aligned - np.asarray(views.first))[inner].max() < 0.01
    assert np.any(~outer) and np.all(aligned[~outer] == 0)


def test_an_identical_pair_has_valid_pixels_everywhere():
    """A range of zero turns, but not of zooms, keeps the centre in place."""
    settings = dataclasses.replace(PLAIN, scale=0.2)
    views = draw_views(KEY, random_images(), settings)
    assert views.matrix is not None
    np.testing.assert_allclose(views.matrix[:, 0, 1], 0, atol=1e-7)
    _, valid = align(views.second, views)
    assert valid is not None and bool(jnp.all(valid[:, 2:4, 2:3]))


def test_views_depend_on_the_key_only():
    images = random_images()
    first, again = (draw_views(KEY, images, IICConfig(crops=3)) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    other = draw_views(jax.random.key(4), images, IICConfig(crops=3))
    assert not np.array_equal(first.second, other.second)


def test_hue_is_that_of_the_standard_library():
    random = np.random.default_rng(1)
    colors = np.concatenate(
        [random.random((50, 3)), np.eye(3), 1 - np.eye(3), np.full((2, 3), 0.3)]
    )
    for turns in (0.0, 0.1, -0.3, 0.5):
        expected = []
        for color in colors:
            hue, saturation, value = colorsys.rgb_to_hsv(*color)
            expected.append(colorsys.hsv_to_rgb((hue + turns) % 1, saturation, value))
        found = shift_hue(jnp.asarray(colors, jnp.float32), jnp.float32(turns))
        np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize("amount", ["brightness", "contrast", "saturation", "hue"])
def test_each_amount_changes_colours_within_its_range(amount):
    images = random_images(40, (3, 3)) / 2 + 0.2
    found = np.asarray(jitter_colors(KEY, images, **{**SAME_COLORS, amount: 0.2}))
    given = np.asarray(images)
    assert found.min() >= 0 and found.max() <= 1 and not np.array_equal(found, given)
    luma = np.array([0.299, 0.587, 0.114])
    if amount == "hue":
        np.testing.assert_allclose(found.max(-1), given.max(-1), atol=1e-6)
        np.testing.assert_allclose(found.min(-1), given.min(-1), atol=1e-6)
        return
    middle = {
        "brightness": np.zeros((40, 1, 1, 1)),
        "contrast": (given @ luma).mean((1, 2))[:, None, None, None],
        "saturation": (given @ luma)[..., None],
    }[amount]
    # One factor for each image: the least-squares slope explains every value that is not clipped.
    apart, after = given - middle, found - middle
    factor = (apart * after).sum((1, 2, 3)) / (apart**2).sum((1, 2, 3))
    assert np.all(np.abs(factor - 1) <= 0.2 + 1e-3) and np.ptp(factor) > 0.2
    expected = np.clip(middle + factor[:, None, None, None] * apart, 0, 1)
    inside = (found > 0) & (found < 1)
    clipped = ~np.all(inside, (1, 2, 3))
    np.testing.assert_allclose(found[~clipped], expected[~clipped], atol=1e-5)
    assert np.mean(clipped) < 0.5


def test_amounts_of_zero_change_nothing():
    images = random_images()
    np.testing.assert_array_equal(jitter_colors(KEY, images, **SAME_COLORS), images)


@pytest.mark.parametrize("channels", [1, 4])
def test_other_numbers_of_channels_keep_their_shape(channels):
    images = random_images(channels=channels)
    views = draw_views(KEY, images, IICConfig(crops=2))
    assert views.second.shape == (4, 12, 10, channels)
