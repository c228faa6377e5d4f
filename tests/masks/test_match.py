"""Labels aligned between maps of one scene: seeds, slices, tiles."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from s3net_jax.masks import (
    LabelPool,
    align_labels,
    compact_labels,
    consensus,
    find_majority_labels,
)
from s3net_jax.masks.match import count_contingency

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
    table = count_contingency(np.array([[0, 0, 2]]), np.array([[1, 1, 0]]))
    np.testing.assert_array_equal(table, [[0, 2], [0, 0], [1, 0]])


@given(maps, st.permutations(range(4)))
def test_maps_that_differ_only_in_numbers_agree(labels: np.ndarray, order) -> None:
    found = consensus([labels, np.array(order)[labels], labels])
    np.testing.assert_array_equal(found.agreement, 1)
    assert len(np.unique(found.labels)) == len(np.unique(labels))
    np.testing.assert_array_equal(align_labels(found.labels, labels), labels)


def test_the_majority_wins_and_its_share_is_reported() -> None:
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
    with pytest.raises(TypeError, match="must be integers"):
        consensus([np.zeros((2, 2), bool)])
    with pytest.raises(ValueError, match="at least 0"):
        consensus([np.full((2, 2), -1)])


def stripes(shift: int) -> tuple[np.ndarray, np.ndarray]:
    """Two clusters and their colours; the border moves with ``shift``."""
    labels = np.zeros((8, 16), int)
    labels[:, 6 + shift :] = 1
    return labels, np.where(labels == 0, 0.2, 0.8)[..., None]


def test_labels_continue_from_slice_to_slice() -> None:
    pool = LabelPool()
    last = np.full((8, 16), -1)
    for shift in range(4):
        labels, colors = stripes(shift)
        last = pool.add(labels if shift % 2 else 1 - labels, colors, last)
        dark = int(last[0, 0])
        assert pool.count == 2 and dark == 1 and last[0, -1] == 0


def test_something_new_gets_a_new_label() -> None:
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
    assert find_majority_labels(slices, [(1,), (0, 2), ()]) == (1,)


def test_clusters_without_a_partner_follow_the_reference() -> None:
    labels, reference = np.array([[0, 0, 0, 1, 2, 2, 3]]), np.array([[1, 1, 1, 1, 0, 0, 0]])
    np.testing.assert_array_equal(align_labels(labels, reference), [[1, 1, 1, 2, 0, 0, 3]])
    # Numbers that the reference has nowhere are no partners.
    np.testing.assert_array_equal(
        align_labels(np.array([[0, 0, 1]]), np.array([[2, 2, 2]])), [[2, 2, 3]]
    )


def test_a_tie_takes_the_label_of_the_map_that_agrees_most() -> None:
    one = np.array([[0, 0, 0, 1, 1, 1]])
    other, third = one.copy(), one.copy()
    other[0, 2], third[0, 3] = 1, 2
    for maps in ([other, one, third], [third, other, one]):
        found = consensus(maps)
        np.testing.assert_array_equal(found.labels, one)
        np.testing.assert_allclose(found.agreement, [[1, 1, 2 / 3, 2 / 3, 1, 1]])
    pair = consensus([one, other])
    np.testing.assert_array_equal(pair.labels, one)
    np.testing.assert_allclose(pair.agreement, [[1, 1, 0.5, 1, 1, 1]])
    np.testing.assert_array_equal(consensus([other, one]).labels, compact_labels(other))
    # Three maps of three minds: the first pixel is the best map's too.
    different = [np.array([[n, 0, 0, 1, 1, 2, 2]]) for n in (0, 1, 2)]
    best = consensus(different)
    np.testing.assert_array_equal(best.labels, compact_labels(different[0]))
    assert best.agreement[0, 0] == np.float32(1 / 3)
    np.testing.assert_array_equal(best.aligned, different)


def test_large_maps_are_aligned_to_the_one_that_agrees_most() -> None:
    random = np.random.default_rng(0)
    first = random.integers(0, 3, (520, 530))
    odd = np.where(random.random(first.shape) < 0.3, 0, first)
    found = consensus([odd, 2 - first, first])
    np.testing.assert_array_equal(found.aligned[1], 2 - first)
    np.testing.assert_array_equal(found.labels, compact_labels(first))


def flat(value: float, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One cluster of one colour: labels, colours of three channels, nothing known."""
    return np.zeros((1, count), int), np.full((1, count, 3), value), np.full((1, count), -1)


@pytest.mark.parametrize(("apart", "count"), [(0.057, 1), (0.0575, 2)])
@pytest.mark.parametrize("sign", [-1, 1])
def test_clusters_are_one_up_to_a_difference_of_colour(apart: float, count: int, sign: int) -> None:
    """exp(−(d / 0.08)²) is 0.6 at d = 0.0572, in every channel."""
    pool = LabelPool()
    pool.add(*flat(0.5, 10))
    pool.add(*flat(0.5 + sign * apart, 10))
    assert pool.count == count


def test_clusters_of_one_pixel_have_its_colour() -> None:
    pool = LabelPool()
    for count in (10, 1):
        pool.add(*flat(0.5, count))
    assert pool.count == 1


def test_the_colour_of_a_cluster_is_the_mean_of_all_its_pixels() -> None:
    pool = LabelPool()
    pool.add(*flat(0.5, 10))
    pool.add(*flat(0.54, 30))  # 0.53 together
    pool.add(*flat(0.586, 10))
    assert pool.count == 1
    pool.add(*flat(0.601, 10))  # from 0.5412
    assert pool.count == 2


@pytest.mark.parametrize(("overlap", "count"), [(6, 1), (5, 2)])
def test_clusters_are_one_from_an_overlap_on(overlap: int, count: int) -> None:
    """Of no likeness at all; pixels that were not known do not count for the union."""
    pool = LabelPool()
    labels, colors, known = flat(0.0, 10)
    pool.add(labels, colors, known)
    known = np.full((1, 20), -1)
    known[0, :10] = 0
    labels = np.full((1, 20), 1)  # no pixel has the label 0
    labels[0, overlap:10] = 3
    found = pool.add(labels, np.where(labels == 1, 1.0, 0.5)[..., None].repeat(3, -1), known)
    assert pool.count == count + 1 and found.dtype == np.int32
    assert (found[0, 0] == 0) == (overlap == 6) and found[0, 0] == found[0, -1]


def test_a_label_of_which_half_is_target_is_none() -> None:
    slices = [np.array([[0, 1, 1, -1]]), np.array([[0, 1, 1, -1]])]
    assert find_majority_labels(slices, [(0, 1, -1), (-1,)]) == ()
    slices[1][0, 1] = 0
    assert find_majority_labels(slices, [(0, 1, -1), (-1,)]) == (1,)
    assert find_majority_labels(slices, [(), (0, 1)]) == (0,)
    assert find_majority_labels([slices[0]] * 2, [(1, 0)] * 2) == (0, 1)
