"""Affine matrices and warps against SciPy and against simple cases."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from s3net_jax.config import AffineConfig
from s3net_jax.ops import affine_matrix, draw_affine, warp, warp_labels, warp_valid

pytestmark = pytest.mark.usefixtures("x64")


def matrix(rotation=0.0, translation=(0.0, 0.0), scale=1.0, shear=0.0):
    values = (rotation, translation, scale, shear)
    return affine_matrix(*(jnp.asarray(v, float) for v in values))


def random_image(shape=(1, 9, 12, 2)):
    return np.random.default_rng(0).random(shape)


@pytest.mark.slow
def test_the_identity_changes_nothing():
    image = random_image()
    np.testing.assert_allclose(warp(jnp.asarray(image), matrix()), image, atol=1e-14)
    assert np.all(warp_valid(matrix(), (9, 12)))


@pytest.mark.slow
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_quarter_turn_is_counter_clockwise_as_displayed(turns):
    image = random_image((1, 8, 8, 2))
    expected = np.rot90(image, turns, axes=(1, 2))
    turned = matrix(rotation=90.0 * turns)
    np.testing.assert_allclose(warp(jnp.asarray(image), turned), expected, atol=1e-12)
    labels = (image[..., 0] * 7).astype(int)
    moved = warp_labels(jnp.asarray(labels), turned)
    np.testing.assert_array_equal(moved, np.rot90(labels, turns, axes=(1, 2)))
    assert np.all(warp_valid(turned, (8, 8)))


def test_translation_moves_the_content_and_leaves_a_margin_that_is_not_valid():
    image = random_image()
    moved = matrix(translation=(2.0, -3.0))
    np.testing.assert_allclose(
        warp(jnp.asarray(image), moved)[0, 2:, :-3], image[0, :-2, 3:], atol=1e-12
    )
    valid = np.asarray(warp_valid(moved, (9, 12)))
    assert valid[2:, :-3].all()
    assert valid.sum() == 7 * 9


def test_scale_enlarges_and_shear_slants():
    y, x = np.mgrid[:41, :41] - 20.0
    disc = ((y**2 + x**2) < 36).astype(float)[None, ..., None]
    big = warp(jnp.asarray(disc), matrix(scale=2.0))
    np.testing.assert_allclose(big.sum() / disc.sum(), 4, rtol=0.02)
    slanted = np.asarray(warp(jnp.asarray(disc), matrix(shear=30.0)))[0, ..., 0]
    # Below the centre (y grows downwards) the content moves to the right.
    assert (slanted[25] * x[25]).sum() > 0 > (slanted[15] * x[15]).sum()


@given(
    rotation=st.floats(-180, 180),
    shift=st.tuples(st.floats(-4, 4), st.floats(-4, 4)),
    scale=st.floats(0.5, 2),
    shear=st.floats(-40, 40),
)
def test_warp_agrees_with_scipy(rotation, shift, scale, shear):
    image, m = random_image(), matrix(rotation, shift, scale, shear)
    linear, offset = np.asarray(m[:, :2]), np.asarray(m[:, 2])
    centre = (np.array(image.shape[1:3]) - 1) / 2
    start: Any = centre - linear @ centre + offset
    for channel in range(image.shape[-1]):
        expected = ndimage.affine_transform(
            image[0, ..., channel],
            linear,
            start,
            order=1,
            mode="nearest",
        )
        actual = warp(jnp.asarray(image), m)[0, ..., channel]
        np.testing.assert_allclose(actual, expected, atol=1e-9)


@pytest.mark.slow
def test_drawn_parameters_fill_their_ranges_and_differ_from_key_to_key():
    config = AffineConfig(rotation=(-30, 30), translation=(0, 0), scale=(0.5, 2), shear=(0, 0))
    keys = jax.random.split(jax.random.key(0), 200)
    drawn = jax.vmap(lambda k: draw_affine(k, config, (10, 10)))(keys)
    scale = 1 / np.sqrt(np.linalg.det(drawn[:, :, :2]))
    angle = np.rad2deg(np.arctan2(-drawn[:, 1, 0] * 1.0, drawn[:, 0, 0]))
    assert 0.5 <= scale.min() < 0.6
    assert 1.9 < scale.max() <= 2
    assert -30.001 <= angle.min() < -27
    assert 27 < angle.max() <= 30.001
