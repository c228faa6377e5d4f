"""Metrics of regions against slow and obvious versions, worked examples and their own laws."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from s3net_jax.criteria import REGIONS
from s3net_jax.evaluate import measure_regions, split_components
from s3net_jax.evaluate.regions import (
    Contingency,
    compute_best_overlap,
    compute_covering,
    compute_rand_index,
    compute_variation_of_information,
    measure_annotators,
    tabulate,
)

SHAPE = (5, 7)
maps = arrays(np.int32, SHAPE, elements=st.integers(-1, 4))
EPS = 1e-9  # of values up to 100, after sums over 35 pixels in float64


def collect_segments(labels: np.ndarray) -> list[set[int]]:
    """Pixels of each segment."""
    flat = labels.ravel().tolist()
    return [{n for n, one in enumerate(flat) if one == label} for label in sorted(set(flat))]


def measure_slowly(labels: np.ndarray, people: list[np.ndarray]) -> dict[str, float]:
    """Every metric from sets of pixels, as the papers define them, without a table."""
    own = collect_segments(labels)
    count = labels.size
    coverings, overlaps, informations = [], [], []
    for truth in people:
        theirs = collect_segments(truth)
        best = [max(len(s & g) / len(s | g) for s in own) for g in theirs]
        covered = [len(g) * value for g, value in zip(theirs, best, strict=True)]
        coverings.append(sum(covered) / count)
        overlaps.append(sum(best) / len(best))
        # H(S|G) + H(G|S), each from conditional probabilities
        total = 0.0
        for s in own:
            for g in theirs:
                shared = len(s & g)
                if shared:
                    total -= shared / count * np.log2(shared / len(g))
                    total -= shared / count * np.log2(shared / len(s))
        informations.append(total)
    # Unnikrishnan et al.: c is 1 if a pair is in one segment, p the share of people who say so.
    agreement = []
    flat, others = labels.ravel(), [truth.ravel() for truth in people]
    for a, b in combinations(range(count), 2):
        c = float(flat[a] == flat[b])
        p = np.mean([truth[a] == truth[b] for truth in others])
        agreement.append(c * p + (1 - c) * (1 - p))
    segments = [len(collect_segments(truth)) for truth in people]
    return {
        "covering": 100 * float(np.mean(coverings)),
        "pri": 100 * float(np.mean(agreement)),
        "vi": float(np.mean(informations)),
        "miou_all": 100 * float(np.mean(overlaps)),
        "miou_fine": 100 * overlaps[segments.index(max(segments))],
        "miou_coarse": 100 * overlaps[segments.index(min(segments))],
    }


@given(maps, st.lists(maps, min_size=1, max_size=3))
def test_against_the_definitions(labels: np.ndarray, people: list[np.ndarray]) -> None:
    found = measure_regions(labels, people)
    assert tuple(found) == tuple(REGIONS.metrics)
    for name, value in measure_slowly(labels, people).items():
        assert found[name] == pytest.approx(value, abs=EPS), name


@given(maps, maps)
def test_laws(labels: np.ndarray, truth: np.ndarray) -> None:
    """Names of labels do not matter; PRI and VI are symmetric; VI has its bounds."""
    found, renamed = measure_regions(labels, [truth]), measure_regions(7 - 3 * labels, [truth + 9])
    back = measure_regions(truth, [labels])
    assert found == pytest.approx(renamed, abs=EPS), "only the order of sums differs"
    assert found["pri"] == pytest.approx(back["pri"], abs=EPS)
    assert found["vi"] == pytest.approx(back["vi"], abs=EPS)
    assert 0 <= found["vi"] <= 2 * np.log2(labels.size)
    assert 0 < found["covering"] <= 100 + EPS and 0 <= found["pri"] <= 100
    same = measure_regions(labels, [labels, labels])
    perfect = dict.fromkeys(REGIONS.metrics, 100.0) | {"vi": 0.0}
    assert same == pytest.approx(perfect, abs=EPS)


@given(maps, maps, maps)
def test_vi_is_a_metric(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> None:
    """The triangle inequality, Meilă (2007)."""
    ab, bc, ac = (
        compute_variation_of_information(tabulate(*pair)) for pair in ((a, b), (b, c), (a, c))
    )
    assert ac <= ab + bc + EPS


def test_worked_examples() -> None:
    """Rand's own example (1971): {a, b, c}, {d, e, f} against {a, b}, {c, d, e}, {f} is 9/15."""
    first, second = np.array([[0, 0, 0, 1, 1, 1]]), np.array([[0, 0, 1, 1, 1, 2]])
    table = tabulate(first, second)
    assert compute_rand_index(table) == pytest.approx(9 / 15)
    # max IoU: {a, b} 2/3; {c, d, e} 2/4; {f} 1/3
    assert compute_covering(table) == pytest.approx((2 * 2 / 3 + 3 * 2 / 4 + 1 / 3) / 6)
    assert compute_best_overlap(table) == pytest.approx((2 / 3 + 2 / 4 + 1 / 3) / 3)
    # Independent halves share no information: 1 + 1 bits. All apart against all together: log₂ N.
    rows, columns = np.array([[0, 0], [1, 1]]), np.array([[0, 1], [0, 1]])
    assert compute_variation_of_information(tabulate(rows, columns)) == pytest.approx(2)
    alone, together = np.arange(8).reshape(2, 4), np.zeros((2, 4), int)
    assert compute_variation_of_information(tabulate(alone, together)) == pytest.approx(3)
    one = tabulate(np.array([[3]]), np.array([[5]]))
    assert compute_rand_index(one) == 1 and compute_variation_of_information(one) == 0


def test_large_images_do_not_overflow() -> None:
    """An image of 4 billion pixels has 8·10¹⁸ pairs, near the largest number of 64 bits."""
    half, zero = 2**31, np.zeros(2, np.int64)
    sizes = np.array([half, half], np.int64)
    table = Contingency(sizes, zero, np.arange(2), np.array([2 * half]), sizes)
    apart = half * half / (half * (2 * half - 1))  # pairs across, as a share of all
    assert compute_rand_index(table) == pytest.approx(1 - apart, rel=1e-12)
    assert compute_variation_of_information(table) == pytest.approx(1)
    assert compute_covering(table) == pytest.approx(0.5)


def test_components() -> None:
    labels = np.array([[0, 0, 1, 0], [1, 0, 1, 0], [0, 1, 1, 1]])
    found = split_components(labels)
    assert len(np.unique(found)) == 5, "pixels that touch at a corner are apart"
    assert found.min() == 1 and found[0, 0] == found[1, 1] != found[0, 3]
    assert found[0, 2] == found[2, 1] != found[1, 0]
    np.testing.assert_array_equal(split_components(labels - 5), found)


def test_people_against_each_other() -> None:
    first, second = np.array([[0, 0, 1, 1]]), np.array([[0, 1, 1, 0]])
    found = measure_annotators([first, first, second])
    assert set(found) == set(REGIONS.protocols)
    each = [
        measure_regions(first, [first, second]),
        measure_regions(first, [first, second]),
        measure_regions(second, [first, first]),
    ]
    for name, value in found["clusters"].items():
        assert value == pytest.approx(np.mean([one[name] for one in each]))
    assert found["components"]["pri"] > found["clusters"]["pri"], "the second has distant parts"


def test_wrong_arguments() -> None:
    labels = np.zeros((2, 3), int)
    with pytest.raises(ValueError, match=r"has shape \(2, 3\), but the segmentation has shape \(3"):
        measure_regions(labels, [labels.T])
    with pytest.raises(ValueError, match="no human segmentation"):
        measure_regions(labels, [])
    with pytest.raises(ValueError, match="no pixels"):
        tabulate(labels[:0], labels[:0])
    with pytest.raises(ValueError, match="at least 2 human segmentations, got 1"):
        measure_annotators([labels])
