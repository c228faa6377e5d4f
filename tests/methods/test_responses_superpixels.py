"""Test superpixels and the majority label of each, against a loop over superpixels."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from s3net_jax.methods.responses import assign_majority, find_superpixels


def assign_slowly(labels: np.ndarray, superpixels: np.ndarray) -> np.ndarray:
    result = np.empty_like(labels)
    for number in np.unique(superpixels):
        inside = superpixels == number
        values, counts = np.unique(labels[inside], return_counts=True)
        result[inside] = values[np.argmax(counts)]  # values are sorted: the smallest wins a tie
    return result


@pytest.mark.parametrize("shape", [(1, 9, 7), (3, 5, 8), (1, 1, 6)])
@pytest.mark.parametrize("channels", [1, 2, 7])
def test_majority(shape, channels):
    random = np.random.default_rng(0)
    labels = random.integers(0, channels, shape).astype(np.int32)
    superpixels = random.integers(0, shape[1] * shape[2] // 3, shape).astype(np.int32)
    found = jax.jit(assign_majority, static_argnums=2)(labels, superpixels, channels)
    expected = [assign_slowly(a, b) for a, b in zip(labels, superpixels, strict=True)]
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == jnp.int32


@pytest.mark.slow
def test_ties_take_the_smallest_label():
    labels = jnp.asarray([[[3, 1, 1, 3, 2, 0]]])
    superpixels = jnp.asarray([[[5, 5, 5, 5, 0, 0]]])
    np.testing.assert_array_equal(assign_majority(labels, superpixels, 4), [[[1, 1, 1, 1, 0, 0]]])


@pytest.mark.slow
def test_one_pixel_superpixels_change_nothing():
    labels = jnp.asarray(np.random.default_rng(0).integers(0, 5, (1, 6, 4)))
    numbers = jnp.arange(24).reshape(1, 6, 4)
    np.testing.assert_array_equal(assign_majority(labels, numbers, 5), labels)


@pytest.mark.parametrize("segments", [1, 20, 10_000])
def test_superpixels_are_consecutive_and_connected(picture, segments):
    numbers = find_superpixels(picture, segments, 10.0)
    assert numbers.shape == picture.shape[:2] and numbers.dtype == np.int32
    count = numbers.max() + 1
    assert count <= numbers.size
    np.testing.assert_array_equal(np.unique(numbers), np.arange(count))
    assert all(ndimage.label(numbers == n)[1] == 1 for n in range(count))  # pyright: ignore


def test_more_superpixels_than_pixels_are_single_pixels(picture):
    assert len(np.unique(find_superpixels(picture, 10_000, 100.0))) == picture[..., 0].size


def test_superpixels_follow_the_image():
    image = np.zeros((20, 20, 3), np.float32)
    image[:, 9:] = 1
    numbers = find_superpixels(image, 16, 1.0)
    assert not set(numbers[:, :9].ravel()) & set(numbers[:, 9:].ravel())


def test_the_same_image_has_the_same_superpixels(picture):
    first, second = (find_superpixels(picture, 50, 100.0) for _ in range(2))
    np.testing.assert_array_equal(first, second)
