"""Labels aligned between maps of one scene: seeds, slices, tiles."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from s3net_jax.masks import LabelPool, align_labels, consensus, majority_labels
from s3net_jax.masks.match import contingency

maps = arrays(np.int32, (5, 6), elements=st.integers(0, 3))


@given(maps, maps)
def test_no_other_renumbering_agrees_more(labels: np.ndarray, reference: np.ndarray) -> None:
    found = np.sum(align_labels(labels, reference) == reference)
    best = max(
        np.sum(np.array(order)[labels] == reference) for order in itertools.permutations(range(4))
    )
    assert found == best


@given(maps, maps)
def test_alignment_keeps_the_partition(labels: np.ndarray, reference: np.ndarray) -> None:
    aligned = align_labels(labels, reference)
    assert (
        len(np.unique(np.stack([labels, aligned], -1).reshape(-1, 2), axis=0))
        == len(np.unique(labels))
        == len(np.unique(aligned))
    )


def test_contingency_counts_pairs() -> None:
    table = contingency(np.array([[0, 0, 2]]), np.array([[1, 1, 0]]))
    np.testing.assert_array_equal(table, [[0, 2], [0, 0], [1, 0]])


@given(maps, st.permutations(range(4)))
def test_maps_that_differ_in_numbers_alone_agree_wholly(labels: np.ndarray, order) -> None:
    found = consensus([labels, np.array(order)[labels], labels])
    np.testing.assert_array_equal(found.agreement, 1)
    assert len(np.unique(found.labels)) == len(np.unique(labels))
    np.testing.assert_array_equal(align_labels(found.labels, labels), labels)


def test_the_majority_wins_and_its_share_is_told() -> None:
    one = np.zeros((4, 6), int)
    one[:, 3:] = 1
    off = one.copy()
    off[0, 2] = 1
    np.testing.assert_array_equal(
        consensus([m.astype(np.uint8) for m in (one, 1 - one, off)]).labels,
        consensus([one, 1 - one, off]).labels,
    )
    found = consensus([one, 1 - one, off])
    np.testing.assert_array_equal(found.labels, one)
    assert found.agreement[0, 2] == np.float32(2 / 3) and np.sum(found.agreement < 1) == 1
    assert found.aligned.shape == (3, 4, 6) and found.labels.dtype == np.int32


def test_a_label_beyond_the_reference_can_win() -> None:
    two = np.repeat([[0, 0, 0, 1, 1, 1]], 4, 0)
    three = two.copy()
    three[:, 2] = 2
    found = consensus([two, three, three])
    assert len(np.unique(found.labels)) == 3


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="one shape"):
        consensus([np.zeros((2, 2), int), np.zeros((2, 3), int)])
    with pytest.raises(ValueError, match="one shape"):
        consensus([])
    with pytest.raises(TypeError, match="of integers"):
        consensus([np.zeros((2, 2), bool)])
    with pytest.raises(ValueError, match="0 or more"):
        consensus([np.full((2, 2), -1)])


def stripes(shift: int) -> tuple[np.ndarray, np.ndarray]:
    """Two clusters and their colours; the border moves with ``shift``."""
    labels = np.zeros((8, 16), int)
    labels[:, 6 + shift :] = 1
    return labels, np.where(labels == 0, 0.2, 0.8)[..., None]


def test_labels_go_on_from_slice_to_slice() -> None:
    pool = LabelPool()
    last = np.full((8, 16), -1)
    for shift in range(4):
        labels, colors = stripes(shift)
        last = pool.add(labels if shift % 2 else 1 - labels, colors, last)
        dark = int(last[0, 0])
        assert pool.count == 2 and dark == 1 and last[0, -1] == 0


def test_something_new_gets_a_label_of_its_own() -> None:
    pool = LabelPool()
    labels, colors = stripes(0)
    first = pool.add(labels, colors, np.full(labels.shape, -1))
    labels[2:5, 2:5] = 2
    colors[2:5, 2:5] = 0.5
    second = pool.add(labels, colors, first)
    assert pool.count == 3 and (second[labels == 2] == 2).all()
    np.testing.assert_array_equal(second[labels != 2], first[labels != 2])


def test_like_colours_are_known_again_without_overlap() -> None:
    pool = LabelPool()
    labels, colors = stripes(0)
    unknown = np.full(labels.shape, -1)
    first = pool.add(labels, colors, unknown)
    again = pool.add(1 - labels, colors, unknown)
    np.testing.assert_array_equal(first, again)


def test_a_label_is_target_where_most_of_it_is() -> None:
    slices = [np.array([[0, 1, 1]]), np.array([[0, 1, 2]]), np.array([[2, 2, 2]])]
    assert majority_labels(slices, [(1,), (0, 2), ()]) == (1,)
