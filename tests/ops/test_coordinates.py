"""Warps by coordinates, as of homographies and elastic deformations, against slow versions."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage, special

from s3net_jax.losses import affine_consistency
from s3net_jax.ops import affine_matrix, compute_coordinates, warp, warp_labels, warp_valid

pytestmark = pytest.mark.usefixtures("x64")

SHAPE = (7, 9)
HOMOGRAPHY = np.array([[0.9, 0.15, 0.4], [-0.2, 1.1, -0.3], [0.012, -0.02, 1.05]])


def make_elastic() -> np.ndarray:
    """Source coordinates displaced by up to some pixels, some of them outside the image."""
    grid = np.stack([*np.mgrid[: SHAPE[0], : SHAPE[1]]], -1)
    return grid + np.random.default_rng(1).normal(0, 1.3, (*SHAPE, 2))


def map_slowly(matrix: np.ndarray) -> np.ndarray:
    """The source of every pixel, one after the other."""
    centre = (np.array(SHAPE) - 1) / 2
    found = np.empty((*SHAPE, 2))
    for y, x in np.ndindex(SHAPE):
        source = matrix @ [y - centre[0], x - centre[1], 1]
        found[y, x] = source[:2] / (source[2] if len(source) == 3 else 1) + centre
    return found


def sample_slowly(image: np.ndarray, coords: np.ndarray) -> np.ndarray:
    """(H, W, C) sampled by SciPy, with the edge continued."""
    places = np.moveaxis(coords, -1, 0)
    return np.stack(
        [
            ndimage.map_coordinates(image[..., c], places, order=1, mode="nearest")
            for c in range(image.shape[-1])
        ],
        -1,
    )


def differentiate_slowly(function: Callable[[np.ndarray], float], x: np.ndarray) -> np.ndarray:
    gradient, step = np.zeros_like(x), 1e-6
    for index in np.ndindex(x.shape):
        high, low = x.copy(), x.copy()
        high[index] += step
        low[index] -= step
        gradient[index] = (function(high) - function(low)) / (2 * step)
    return gradient


AFFINE = np.asarray(np.linalg.inv([[1.2, 0.4, 0.7], [-0.3, 0.8, -1.1], [0, 0, 1]])[:2])
COORDS = {"affine": map_slowly(AFFINE), "homography": map_slowly(HOMOGRAPHY)}
COORDS["elastic"] = make_elastic()


@pytest.mark.parametrize("matrix", [AFFINE, HOMOGRAPHY], ids=["affine", "homography"])
def test_coordinates_are_those_of_every_pixel(matrix: np.ndarray) -> None:
    found = compute_coordinates(jnp.asarray(matrix), SHAPE)
    np.testing.assert_allclose(found, map_slowly(matrix), atol=1e-12)


def test_other_matrices_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(4, 4\); give \(2, 3\) or \(3, 3\)"):
        compute_coordinates(jnp.eye(4), SHAPE)


@pytest.mark.slow
def test_coordinates_of_a_matrix_are_the_same_transform() -> None:
    random = np.random.default_rng(0)
    image, labels = jnp.asarray(random.random((2, *SHAPE, 3))), random.integers(0, 9, (2, *SHAPE))
    values = (jnp.asarray(v) for v in (23.0, (1.3, -2.1), 0.8, 12.0))
    matrix = affine_matrix(*values)
    coords = compute_coordinates(matrix, SHAPE)
    np.testing.assert_array_equal(warp(image, coords), warp(image, matrix))
    labels = jnp.asarray(labels)
    np.testing.assert_array_equal(warp_labels(labels, coords), warp_labels(labels, matrix))
    valid = warp_valid(matrix, SHAPE)
    np.testing.assert_array_equal(warp_valid(coords, SHAPE), valid)
    assert 0 < valid.sum() < valid.size


@pytest.mark.parametrize("name", COORDS)
def test_warps_agree_with_scipy(name: str) -> None:
    coords = COORDS[name]
    random = np.random.default_rng(0)
    image, labels = random.random((2, *SHAPE, 3)), random.integers(0, 99, (2, *SHAPE))
    found = warp(jnp.asarray(image), jnp.asarray(coords))
    for one, expected in zip(found, image, strict=True):
        np.testing.assert_allclose(one, sample_slowly(expected, coords), atol=1e-12)
    near = np.rint(coords).astype(int)
    rows, columns = (near[..., n].clip(0, SHAPE[n] - 1) for n in (0, 1))
    moved = warp_labels(jnp.asarray(labels), jnp.asarray(coords))
    np.testing.assert_array_equal(moved, labels[:, rows, columns])
    inside = np.all((coords >= 0) & (coords <= np.array(SHAPE) - 1), -1)
    np.testing.assert_array_equal(warp_valid(jnp.asarray(coords), SHAPE), inside)


@pytest.mark.parametrize("name", COORDS)
def test_gradients_by_image_and_coordinates(name: str) -> None:
    coords, random = COORDS[name], np.random.default_rng(3)
    image, weight = random.random((*SHAPE, 2)), random.normal(size=(*SHAPE, 2))

    def score(image: jax.Array, coords: jax.Array) -> jax.Array:
        return jnp.sum(warp(image[None], coords)[0] * weight)

    by_image, by_coords = jax.grad(score, (0, 1))(jnp.asarray(image), jnp.asarray(coords))
    expected = differentiate_slowly(lambda a: np.sum(sample_slowly(a, coords) * weight), image)
    np.testing.assert_allclose(by_image, expected, atol=1e-8)
    expected = differentiate_slowly(lambda a: np.sum(sample_slowly(image, a) * weight), coords)
    np.testing.assert_allclose(by_coords, expected, atol=1e-7)


def compute_term_slowly(logits: np.ndarray, labels: np.ndarray, coords: np.ndarray) -> float:
    """L_AT of logits (H, W, K) and labels (H, W), pixel by pixel."""
    log_p = special.log_softmax(sample_slowly(logits, coords), -1)
    found = []
    for y, x in np.ndindex(SHAPE):
        row, column = coords[y, x]
        if 0 <= row <= SHAPE[0] - 1 and 0 <= column <= SHAPE[1] - 1:
            found.append(-log_p[y, x, labels[round(row), round(column)]])
    return float(np.mean(found))


@pytest.mark.slow
@pytest.mark.parametrize("name", COORDS)
def test_the_consistency_of_warped_logits(name: str) -> None:
    coords, random = COORDS[name], np.random.default_rng(2)
    logits, labels = random.normal(0, 2, (*SHAPE, 4)), random.integers(0, 4, SHAPE)

    def compute_term(logits: jax.Array) -> jax.Array:
        places = jnp.asarray(coords)
        moved = warp_labels(jnp.asarray(labels[None]), places)
        return affine_consistency(warp(logits[None], places), moved, warp_valid(places, SHAPE))

    value, gradient = jax.value_and_grad(compute_term)(jnp.asarray(logits))
    np.testing.assert_allclose(value, compute_term_slowly(logits, labels, coords), rtol=1e-12)
    expected = differentiate_slowly(lambda a: compute_term_slowly(a, labels, coords), logits)
    np.testing.assert_allclose(gradient, expected, atol=1e-8)


def test_output_may_have_another_size() -> None:
    image = jnp.arange(12.0).reshape(1, 3, 4, 1)
    coords = jnp.asarray([[[0.0, 0.5], [1.5, 3.0]]])
    np.testing.assert_allclose(warp(image, coords)[0, ..., 0], [[0.5, 9.0]])
