"""Metrics against slow and obvious versions, and by their own laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from s3net_jax.evaluate import measure, scored_masks

masks = arrays(bool, (9, 12), elements=st.booleans())


def slow(mask: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    a, g = set(map(tuple, np.argwhere(mask))), set(map(tuple, np.argwhere(truth)))

    def edge(points: set) -> np.ndarray:
        near = [(0, 1), (1, 0), (0, -1), (-1, 0)]
        return np.array(
            [p for p in sorted(points) if any((p[0] + y, p[1] + x) not in points for y, x in near)]
        )

    distances = np.linalg.norm(edge(a)[:, None] - edge(g)[None], axis=-1)
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
    for name, value in slow(mask, truth).items():
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
    scored = {k: (a.sum(), g.sum()) for k, (a, g) in scored_masks(labels, mask, truth).items()}
    ring = 70**2 - 30**2
    assert scored["overlap"] == (ring, 2500)
    # Cropped to the ground truth grown by two steps of a 5×5 square: four pixels each way.
    assert scored["released"] == (58**2 - 30**2, 2500)
    assert scored["oracle"] == (30**2, 2500) or scored["oracle"] == (ring, 2500)
    assert scored["blind"] == (70**2, 2500)


def test_the_whole_image_scores_high_where_the_truth_leaks() -> None:
    truth = np.zeros((256, 256), bool)
    truth[60:200, 60:200] = True
    found = scored_masks(np.zeros(truth.shape, int), np.ones(truth.shape, bool), truth)
    dsc = {name: measure(*pair)["dsc"] for name, pair in found.items()}
    assert dsc["released"] > 93 and dsc["blind"] == dsc["overlap"] < 50
