"""Metrics against slow and obvious versions, and by their own laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from s3net_jax.evaluate import METRICS, measure, select_scored_masks
from s3net_jax.evaluate.metrics import HIGHER_IS_BETTER, boundary_f, hd95

masks = arrays(bool, (9, 12), elements=st.booleans())


def measure_slowly(mask: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    a, g = set(map(tuple, np.argwhere(mask))), set(map(tuple, np.argwhere(truth)))

    def find_edge(points: set) -> np.ndarray:
        near = [(0, 1), (1, 0), (0, -1), (-1, 0)]
        return np.array(
            [p for p in sorted(points) if any((p[0] + y, p[1] + x) not in points for y, x in near)]
        )

    distances = np.linalg.norm(find_edge(a)[:, None] - find_edge(g)[None], axis=-1)
    there, back = distances.min(1), distances.min(0)
    limit = 0.0075 * np.hypot(*mask.shape)
    precision, recall = np.mean(there <= limit), np.mean(back <= limit)
    f = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {
        "dsc": 200 * len(a & g) / (len(a) + len(g)),
        "hm": 100 * len(a ^ g) / len(a | g),
        "xor": 100 * len(a ^ g) / len(g),
        "hd95": float(np.percentile(np.concatenate([there, back]), 95)),
        "boundary_f": 100 * f,
    }


@given(masks, masks)
def test_against_the_definitions(mask: np.ndarray, truth: np.ndarray) -> None:
    assume(mask.any() and truth.any())
    found = measure(mask, truth)
    for name, value in measure_slowly(mask, truth).items():
        assert found[name] == pytest.approx(value, abs=1e-9), name
    assert found["hm"] <= found["xor"] + 1e-9


def test_perfect_and_empty() -> None:
    truth = np.zeros((10, 10), bool)
    truth[3:6, 2:8] = True
    perfect = {"dsc": 100, "hm": 0, "xor": 0, "hd95": 0, "boundary_f": 100}
    assert measure(truth, truth) == perfect
    empty = measure(np.zeros_like(truth), truth)
    assert (empty["dsc"], empty["hm"], empty["xor"]) == (0, 100, 100)
    assert empty["hd95"] == pytest.approx(np.hypot(10, 10)) and empty["boundary_f"] == 0
    with pytest.raises(ValueError, match="empty"):
        measure(truth, np.zeros_like(truth))
    with pytest.raises(ValueError, match="shape"):
        measure(truth, truth[1:])


def test_volumes() -> None:
    truth = np.zeros((10, 11, 12), bool)
    truth[3:7, 3:7, 3:7] = True
    assert measure(truth, truth)["dsc"] == 100
    assert measure(np.roll(truth, 2, 2), truth)["hd95"] == 2


def test_protocols() -> None:
    truth = np.zeros((256, 256), bool)
    truth[100:150, 100:150] = True
    labels = np.zeros((256, 256), int)
    labels[90:160, 90:160] = 1
    labels[110:140, 110:140] = 2
    mask = labels > 0
    scored = {
        k: (a.sum(), g.sum()) for k, (a, g) in select_scored_masks(labels, mask, truth).items()
    }
    ring = 70**2 - 30**2
    assert scored["overlap"] == (ring, 2500)
    # Cropped to the ground truth grown by two steps of a 5×5 square: four pixels each way.
    assert scored["released"] == (58**2 - 30**2, 2500)
    # Half of the disc's sum with the ground truth is common; of the ring's less.
    assert scored["oracle"] == (30**2, 2500) and 1600 / (ring + 2500) < 900 / 3400
    assert scored["blind"] == (70**2, 2500)


def test_the_whole_image_scores_high_where_the_truth_leaks() -> None:
    truth = np.zeros((256, 256), bool)
    truth[60:200, 60:200] = True
    found = select_scored_masks(np.zeros(truth.shape, int), np.ones(truth.shape, bool), truth)
    dsc = {name: measure(*pair)["dsc"] for name, pair in found.items()}
    assert dsc["released"] > 93 and dsc["blind"] == dsc["overlap"] < 50


@pytest.mark.parametrize(("apart", "found"), [((3, 2), 100), ((4, 0), 0)])
def test_boundaries_meet_within_a_share_of_the_diagonal(apart, found: float) -> None:
    """3.75 pixels of 500."""
    mask, truth = np.zeros((300, 400), bool), np.zeros((300, 400), bool)
    truth[100, 100] = mask[100 + apart[0], 100 + apart[1]] = True
    assert boundary_f(mask, truth) == found and hd95(mask, truth) == np.hypot(*apart)


def test_which_metrics_are_better_when_higher() -> None:
    truth = np.zeros((20, 20), bool)
    truth[5:15, 5:15] = True
    near, far = measure(np.roll(truth, 1, 0), truth), measure(np.roll(truth, 4, 0), truth)
    assert METRICS == tuple(near) == tuple(HIGHER_IS_BETTER)
    assert {name: near[name] > far[name] for name in METRICS} == HIGHER_IS_BETTER


def test_shapes_that_would_broadcast_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"mask has shape \(1, 9\), but the ground truth has shape \(9, 9\)"
    ):
        measure(np.ones((1, 9), bool), np.ones((9, 9), bool))


def test_the_largest_overlap_counts_pixels_and_the_first_of_equal_ones() -> None:
    truth = np.zeros((256, 256), bool)
    truth[100:150, 100:150] = True
    labels = np.full((256, 256), 7)
    labels[100:150, 100:130] = 4  # 1500 of the ground truth's pixels
    labels[100:150, 130:150] = 2  # 1000, and the other cluster is none
    scored = select_scored_masks(labels, truth, truth)
    np.testing.assert_array_equal(scored["overlap"][0], labels == 4)
    labels[100:150, 100:125], labels[100:150, 125:150] = 4, 2
    scored = select_scored_masks(labels, truth, truth)
    np.testing.assert_array_equal(scored["overlap"][0], labels == 2)
    np.testing.assert_array_equal(scored["oracle"][0], labels == 2)


def test_slices_of_a_volume_do_not_leak_into_each_other() -> None:
    truth = np.zeros((256, 256, 3), bool)
    truth[100:150, 100:150, 1] = True
    everything = np.ones(truth.shape, bool)
    found, wanted = select_scored_masks(everything.astype(int), everything, truth)["released"]
    np.testing.assert_array_equal(wanted, truth)
    around = np.zeros(truth.shape, bool)
    around[96:154, 96:154, 1] = True
    np.testing.assert_array_equal(found, around)


@pytest.mark.parametrize("shape", [(512, 1024), (128, 64), (300, 257)])
def test_the_authors_protocol_takes_nearest_neighbours(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    truth = random.random(shape) < 0.5
    _, small = select_scored_masks(truth.astype(int), truth, truth)["released"]
    rows, columns = (((2 * np.arange(256) + 1) * n) // 512 for n in shape)
    np.testing.assert_array_equal(small, truth[np.ix_(rows, columns)])
