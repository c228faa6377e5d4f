"""Label maps: compact, and at the image's own size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image as PilImage

from s3net_jax.masks import compact_labels, compute_labels

label_maps = hnp.arrays(
    np.int32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 6)
)


@given(label_maps)
def test_compact_labels_are_consecutive_by_area(labels: np.ndarray) -> None:
    compact = compact_labels(labels)
    areas = np.bincount(compact.ravel())
    assert compact.dtype == np.int32 and compact.shape == labels.shape
    assert (areas > 0).all() and (np.diff(areas) <= 0).all()
    pairs = set(zip(labels.ravel().tolist(), compact.ravel().tolist(), strict=True))
    assert len(pairs) == len(areas) == len(np.unique(labels)), "the partition is the same"


@given(label_maps, st.permutations(range(7)))
def test_compact_labels_ignore_numbering(labels: np.ndarray, order: list[int]) -> None:
    compact = compact_labels(labels)
    np.testing.assert_array_equal(compact, compact_labels(np.array(order)[labels] * 10 - 3))
    np.testing.assert_array_equal(compact, compact_labels(compact))


def test_own_size_is_the_argmax() -> None:
    logits = np.random.default_rng(0).normal(size=(9, 7, 5))
    np.testing.assert_array_equal(compute_labels(logits, (9, 7)), logits.argmax(-1))


@pytest.mark.parametrize("shape", [(64, 64), (50, 90), (8, 8)])
def test_a_disc_stays_a_disc(shape: tuple[int, int]) -> None:
    """Resized labels agree with the same disc drawn at the new size, but for its outline."""

    def disc(height: int, width: int) -> np.ndarray:
        y, x = np.mgrid[:height, :width]
        return np.hypot((y + 0.5) / height - 0.5, (x + 0.5) / width - 0.5)

    logits = np.stack([disc(16, 16) - 0.3, 0.3 - disc(16, 16)], -1) * 20
    labels = compute_labels(logits, shape)
    near = np.abs(disc(*shape) - 0.3) < 0.04
    np.testing.assert_array_equal(labels[~near], (disc(*shape) < 0.3)[~near])


def test_clusters_that_win_nowhere_stay_out() -> None:
    logits = np.zeros((4, 4, 3))
    logits[:, :2, 0], logits[:, 2:, 2], logits[..., 1] = 1, 1, 0.95
    assert set(np.unique(compute_labels(logits, (32, 32)))) == {0, 2}


def test_clusters_of_equal_area_are_numbered_by_their_first_pixel() -> None:
    labels = np.array([[7, 3, 3, 3], [5, 7, 9, 5], [0, 9, 9, 0]])
    expected = [[2, 0, 0, 0], [3, 2, 1, 3], [4, 1, 1, 4]]
    np.testing.assert_array_equal(compact_labels(labels), expected)
    np.testing.assert_array_equal(compact_labels(np.array([[5, -3], [-3, 5]])), [[0, 1], [1, 0]])


@pytest.mark.parametrize("shape", [(23, 31), (5, 4), (8, 20)])
def test_another_size_is_the_argmax_of_the_resized_softmax(shape: tuple[int, int]) -> None:
    logits = np.random.default_rng(0).normal(0, 2, (8, 10, 5)) + 1e4
    logits[..., 3] -= 200  # wins nowhere
    softmax = np.exp(logits - logits.max(-1, keepdims=True))
    softmax /= softmax.sum(-1, keepdims=True)
    planes = [
        np.asarray(plane.resize((shape[1], shape[0]), PilImage.Resampling.BILINEAR))
        for plane in map(PilImage.fromarray, np.moveaxis(softmax, -1, 0).astype(np.float32))
    ]
    found = compute_labels(logits, shape)
    np.testing.assert_array_equal(found, np.argmax(np.stack(planes, -1), -1))
    assert found.dtype == np.int32


def test_the_first_of_equal_clusters_wins() -> None:
    logits = np.zeros((1, 2, 2))
    logits[0, 0, 1] = logits[0, 1, 0] = 1
    np.testing.assert_array_equal(compute_labels(logits, (1, 3)), [[1, 0, 0]])
    np.testing.assert_array_equal(compute_labels(np.zeros((2, 2, 3)), (2, 2)), np.zeros((2, 2)))
