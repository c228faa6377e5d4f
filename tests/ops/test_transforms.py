"""Matrices, label maps, valid pixels and drawn transforms against slow NumPy versions."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s3net_jax.config import AffineConfig
from s3net_jax.ops import affine_matrix, draw_affine, warp, warp_labels, warp_valid

pytestmark = pytest.mark.usefixtures("x64")

SHAPE = (9, 14)
CASES = [
    # rotation, translation, scale, shear: no source lies half-way between two pixels
    (0.0, (0.0, 0.0), 1.0, 0.0),
    (23.0, (1.31, -2.17), 0.83, 0.0),
    (-71.0, (-3.4, 0.6), 1.27, 19.0),
    (160.0, (0.2, 5.3), 1.9, -33.0),
    (0.0, (2.2, 3.3), 1.0, 0.0),
    (0.0, (-2.2, -3.3), 1.0, 0.0),
]


def slow_matrix(rotation, translation, scale, shear) -> np.ndarray:
    """The inverse of the four maps one after the other, in homogeneous (y, x, 1)."""
    angle, slope = np.deg2rad(rotation), np.tan(np.deg2rad(shear))
    c, s = np.cos(angle), np.sin(angle)
    zoom = np.diag([scale, scale, 1.0])
    slant = np.array([[1, 0, 0], [slope, 1, 0], [0, 0, 1.0]])
    # Counter-clockwise as displayed, where y grows downwards: +x turns to −y.
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
    shift = np.array([[1, 0, translation[0]], [0, 1, translation[1]], [0, 0, 1.0]])
    return np.linalg.inv(shift @ turn @ slant @ zoom)[:2]


def slow_sources(matrix: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(H, W, 2) source coordinates (y, x) from the first pixel."""
    centre = (np.array(shape) - 1) / 2
    found = np.empty((*shape, 2))
    for y, x in np.ndindex(shape):
        found[y, x] = matrix @ [y - centre[0], x - centre[1], 1] + centre
    return found


def fast_matrix(case) -> jax.Array:
    return affine_matrix(*(jnp.asarray(value, float) for value in case))


@pytest.mark.parametrize("case", CASES)
def test_a_matrix_inverts_translation_after_rotation_after_shear_after_zoom(case) -> None:
    np.testing.assert_allclose(fast_matrix(case), slow_matrix(*case), atol=1e-14)


@pytest.mark.parametrize("case", CASES)
def test_labels_are_those_of_the_nearest_pixel_with_the_edge_continued(case) -> None:
    labels = np.random.default_rng(0).integers(0, 1000, (2, *SHAPE))
    matrix = slow_matrix(*case)
    nearest = np.rint(slow_sources(matrix, SHAPE)).astype(int)
    rows, columns = (np.clip(nearest[..., n], 0, SHAPE[n] - 1) for n in (0, 1))
    moved = warp_labels(jnp.asarray(labels), jnp.asarray(matrix))
    np.testing.assert_array_equal(moved, labels[:, rows, columns])


@pytest.mark.parametrize("case", CASES)
def test_valid_pixels_have_their_source_inside_the_image(case) -> None:
    matrix = slow_matrix(*case)
    source = slow_sources(matrix, SHAPE)
    inside = np.all((source >= -1e-9) & (source <= np.array(SHAPE) - 1 + 1e-9), -1)
    valid = warp_valid(jnp.asarray(matrix), SHAPE)
    assert valid.dtype == bool
    np.testing.assert_array_equal(valid, inside)


def test_rounding_does_not_make_a_border_invalid_and_a_hundredth_of_a_pixel_does() -> None:
    for sign in (1, -1):
        for axis in (0, 1):
            for shift, valid in ((5e-4, True), (1e-2, False)):
                translation = np.zeros(2)
                translation[axis] = sign * shift
                found = warp_valid(jnp.asarray(slow_matrix(0, translation, 1, 0)), SHAPE)
                assert np.all(found) == valid


def test_images_continue_at_their_edge() -> None:
    image = np.random.default_rng(0).random((1, 5, 6, 2))
    far = warp(jnp.asarray(image), jnp.asarray(slow_matrix(0, (0, 20), 1, 0)))
    expected = np.broadcast_to(image[:, :, :1], image.shape)
    np.testing.assert_allclose(far, expected, atol=1e-12)
    with pytest.raises(ValueError, match="nosuch"):
        warp(jnp.asarray(image), jnp.eye(2, 3), "nosuch")


RANGES = AffineConfig(rotation=(-30, 50), translation=(-0.2, 0.3), scale=(0.5, 2), shear=(5, 25))


def parameters(matrix: np.ndarray) -> np.ndarray:
    """Rotation, translation (y, x), scale and shear of (N, 2, 3) matrices, as (N, 5)."""
    last = np.broadcast_to([0, 0, 1.0], (len(matrix), 1, 3))
    forward = np.linalg.inv(np.concatenate([matrix, last], 1))
    scale = np.sqrt(np.linalg.det(forward[:, :2, :2]))
    # Of a unit step along x only zoom and rotation are seen, as the shear leaves it alone.
    angle = np.arctan2(-forward[:, 0, 1], forward[:, 1, 1])
    turned_back = -np.sin(angle) * forward[:, 0, 0] + np.cos(angle) * forward[:, 1, 0]
    shear = np.arctan(turned_back / scale)
    shift = forward[:, :2, 2]
    return np.stack([np.rad2deg(angle), *shift.T, scale, np.rad2deg(shear)], 1)


@pytest.mark.slow
def test_parameters_are_drawn_from_the_whole_of_their_ranges_independently() -> None:
    count, shape = 4000, (10, 40)
    keys = jax.random.split(jax.random.key(0), count)
    drawn = parameters(np.asarray(jax.vmap(lambda k: draw_affine(k, RANGES, shape, float))(keys)))
    low = np.array([-30, -2, -8, 0.5, 5])
    high = np.array([50, 3, 12, 2, 25])
    unit = (drawn - low) / (high - low)
    assert unit.min() > -1e-9
    assert unit.max() < 1 + 1e-9
    # Of 4000 uniform draws: extremes within 0.5 %, quantiles within 3 %, and no correlation
    # beyond four standard errors.
    assert np.all(unit.min(0) < 0.005)
    assert np.all(unit.max(0) > 0.995)
    quarters = np.array([[0.25], [0.5], [0.75]])
    np.testing.assert_allclose(np.quantile(unit, quarters[:, 0], 0) - quarters, 0, atol=0.03)
    correlation = np.corrcoef(unit.T) - np.eye(5)
    assert np.abs(correlation).max() < 4 / np.sqrt(count)


def test_a_key_means_the_same_transform_for_ever() -> None:
    """Results name their seed: the order of the draws is part of what they mean."""
    key = jax.random.key(7)
    rotation, translation, scale, shear = jax.random.split(key, 4)

    def uniform(key, limits, shape=()):
        return jax.random.uniform(key, shape, float, *limits)

    expected = slow_matrix(
        *(
            np.asarray(value)
            for value in (
                uniform(rotation, RANGES.rotation),
                uniform(translation, RANGES.translation, (2,)) * np.array(SHAPE),
                uniform(scale, RANGES.scale),
                uniform(shear, RANGES.shear),
            )
        )
    )
    np.testing.assert_allclose(draw_affine(key, RANGES, SHAPE, float), expected, atol=1e-12)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_a_range_of_one_value_gives_this_value_in_the_asked_dtype(dtype) -> None:
    fixed = AffineConfig(rotation=(90, 90), translation=(0.1, 0.1), scale=(2, 2), shear=(10, 10))
    matrix = draw_affine(jax.random.key(1), fixed, SHAPE, dtype)
    assert matrix.dtype == dtype
    shift = 0.1 * np.array(SHAPE)
    np.testing.assert_allclose(matrix, slow_matrix(90, shift, 2, 10), atol=1e-6)
