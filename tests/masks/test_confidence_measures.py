"""The measures behind a confidence, against slow obvious references."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from s3net_jax.config import SegmentConfig
from s3net_jax.masks.boundary import redraw, redraw_at_levels
from s3net_jax.masks.confidence.features import (
    compute_dsc,
    compute_overlaps,
    measure_agreement,
    measure_contrast,
    measure_margin,
    measure_members,
    measure_opinions,
    measure_stability,
)
from s3net_jax.masks.confidence.slices import measure_neighbours
from s3net_jax.masks.proposals import Ranking, rank_proposals

SHAPE = (30, 26)
CONFIG = SegmentConfig(choice="proposals", boundary="local")


def slow_dsc(a: np.ndarray, b: np.ndarray) -> float:
    """The DSC, pixel by pixel."""
    shared = total = 0
    for one, other in zip(a.ravel().tolist(), b.ravel().tolist(), strict=True):
        shared += one and other
        total += one + other
    return 2 * shared / total if total else 1.0


def scene() -> tuple[np.ndarray, np.ndarray]:
    """A dark disc on noisy ground: (H, W, 3) uint8, and the disc."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    disc = np.hypot(y - 15, x - 12) < 7
    noise = np.random.default_rng(0).integers(-20, 21, (*SHAPE, 3))
    return (np.where(disc, 70, 190)[..., None] + noise).astype(np.uint8), disc


@pytest.fixture(scope="module")
def ranking() -> Ranking:
    image, disc = scene()
    random = np.random.default_rng(1)
    maps = [np.where(disc, 3 + random.integers(0, 2, SHAPE), random.integers(0, 3, SHAPE))]
    maps += [ndimage.shift(disc, (n, 0)).astype(int) + random.integers(0, 2, SHAPE) for n in (1, 3)]
    found = rank_proposals([*maps, maps[0]], image, CONFIG)
    assert found is not None
    return found


def compare(ranking: Ranking) -> tuple[np.ndarray, np.ndarray, float]:
    """Scores, DSC with the best proposal, and its score."""
    best = ranking.masks[ranking.place]
    return ranking.scores, compute_overlaps(ranking.masks, best), ranking.scores[ranking.place]


def list_masks(ranking: Ranking) -> list[np.ndarray]:
    return [ranking.unpack(n) for n in range(len(ranking.scores))]


def test_ranking(ranking: Ranking) -> None:
    masks = list_masks(ranking)
    assert len(masks) == len(ranking.sources) > 10
    assert ranking.scores[ranking.place] == ranking.scores.max() == ranking.best.score
    assert ranking.best.index == ranking.sources[ranking.place][0]
    assert {0, 3} <= {n for found in ranking.sources for n in found}
    assert all((0 in found) == (3 in found) for found in ranking.sources)  # equal label maps
    for maps in ([0], [1], [2, 1]):
        place = ranking.find_best_in(maps)
        own = [ranking.scores[n] for n, s in enumerate(ranking.sources) if set(s) & set(maps)]
        assert place is not None and ranking.scores[place] == max(own)
    assert ranking.find_best_in([7]) is None


def test_overlaps(ranking: Ranking) -> None:
    masks = list_masks(ranking)
    found = compute_overlaps(ranking.masks, ranking.masks[1])
    np.testing.assert_allclose(found, [slow_dsc(mask, masks[1]) for mask in masks])
    assert compute_dsc(masks[0], masks[1]) == pytest.approx(found[0])
    nothing = np.zeros(SHAPE, bool)
    assert compute_dsc(nothing, nothing) == 1 and compute_dsc(nothing, masks[0]) == 0
    empty = np.packbits(nothing.ravel())
    assert compute_overlaps(empty[None], empty) == 1


@pytest.mark.parametrize("scale", [0.02, 0.3])
def test_agreement(ranking: Ranking, scale: float) -> None:
    masks, scores = list_masks(ranking), ranking.scores.tolist()
    above = below = 0.0
    for mask, score in zip(masks, scores, strict=True):
        weight = math.exp((score - max(scores)) / (scale * max(scores)))
        above += weight * slow_dsc(mask, masks[ranking.place])
        below += weight
    found = measure_agreement(*compare(ranking), scale)
    assert found == pytest.approx(above / below)
    assert measure_agreement(ranking.scores, np.zeros(len(scores)), 0.0, scale) == 0


def test_agreement_of_a_mask_with_a_low_score() -> None:
    """A mask need not be the best of the proposals; scores far above its own must not overflow."""
    scores, overlaps = np.array([0.9, 0.5, 0.1]), np.array([0.2, 1.0, 0.4])
    for score in (0.5, 1e-3):
        weights = [math.exp(min((s - 0.9) / (0.2 * score), 0)) for s in scores]
        expected = sum(w * d for w, d in zip(weights, overlaps, strict=True)) / sum(weights)
        assert measure_agreement(scores, overlaps, score, 0.2) == pytest.approx(expected)


@pytest.mark.parametrize("different", [0.4, 0.9])
def test_margin(ranking: Ranking, different: float) -> None:
    masks, scores = list_masks(ranking), ranking.scores.tolist()
    best = masks[ranking.place]
    others = [s for mask, s in zip(masks, scores, strict=True) if slow_dsc(mask, best) < different]
    assert others
    expected = 1 - max(others) / max(scores)
    assert measure_margin(*compare(ranking), different) == pytest.approx(expected)
    assert measure_margin(*compare(ranking), 0) == 1  # nothing is that different
    assert measure_margin(np.array([0.6]), np.zeros(1), 0.5, different) == 0


def test_members(ranking: Ranking) -> None:
    members = [[0], [1], [2]]
    best = [
        ranking.unpack(place) for m in members if (place := ranking.find_best_in(m)) is not None
    ]
    pairs = [slow_dsc(best[a], best[b]) for a in range(3) for b in range(a)]
    assert measure_members(ranking, members) == pytest.approx(sum(pairs) / 3)
    assert measure_members(ranking, members[:1]) == 1
    assert measure_members(ranking, [[0], [3]]) == 1  # both have the same label map


def test_stability() -> None:
    image, disc = scene()
    nothing = np.zeros(SHAPE, bool)
    drawn = redraw_at_levels(image, disc, nothing, CONFIG, True, [0.5, 0.6, 0.7])
    np.testing.assert_array_equal(drawn[1], redraw(image, disc, nothing, CONFIG, True))
    assert measure_stability(drawn) == pytest.approx(slow_dsc(drawn[0], drawn[2]))
    empty = redraw_at_levels(image, nothing, nothing, CONFIG, True, [0.5, 0.7])
    assert len(empty) == 2 and not empty[0].any() and measure_stability(empty) == 1


def slow_contrast(image: np.ndarray, mask: np.ndarray) -> float:
    places = [tuple(p) for p in np.argwhere(mask).tolist()]
    away = {
        (y, x): min((y - a) ** 2 + (x - b) ** 2 for a, b in places)
        for y, x in np.argwhere(~mask).tolist()
    }
    count = min(len(places), len(away))
    far = sorted(away.values())[count - 1]
    ring = [place for place, distance in away.items() if distance <= far]
    total = between = 0.0
    for channel in range(3):
        inside = [float(image[p][channel]) for p in places]
        outside = [float(image[p][channel]) for p in ring]
        both = inside + outside
        middle = sum(both) / len(both)
        total += sum((value - middle) ** 2 for value in both)
        for side in (inside, outside):
            between += len(side) * (sum(side) / len(side) - middle) ** 2
    return between / total


def test_contrast() -> None:
    image, disc = scene()
    large = ndimage.binary_dilation(disc, iterations=6)
    for mask in (disc, large, ~disc, disc & (np.arange(SHAPE[1]) < 11)):
        assert measure_contrast(image, mask) == pytest.approx(slow_contrast(image, mask))
    assert measure_contrast(image, disc) > 0.8 > 0.4 > measure_contrast(image, large)
    for mask in (np.zeros(SHAPE, bool), np.ones(SHAPE, bool)):
        assert measure_contrast(image, mask) == 0
    assert measure_contrast(np.full_like(image, 90), disc) == 0


def test_opinions(ranking: Ranking) -> None:
    masks = list_masks(ranking)
    found = measure_opinions(masks[0], masks[1:4])
    assert found == max(slow_dsc(masks[0], other) for other in masks[1:4])
    assert measure_opinions(masks[0], []) == 0


def test_without_any_score() -> None:
    """An image of one colour, where no split explains anything."""
    flat = np.full((*SHAPE, 3), 120, np.uint8)
    maps = [np.random.default_rng(n).integers(0, 3, SHAPE) for n in range(2)]
    found = rank_proposals(maps, flat, CONFIG)
    assert found is not None
    assert measure_agreement(*compare(found), 0.1) <= 1
    assert 0 <= measure_margin(*compare(found), 0.7) <= 1


def test_neighbours() -> None:
    mask = np.zeros((6, 5, 5), bool)
    mask[:, 1:4, 1:4] = True
    mask[2] = False  # a slice without the target
    mask[4, 0] = True  # a slice with more than both neighbours
    median = ndimage.median_filter(mask, (3, 1, 1))
    median[[0, -1]] = mask[[0, -1]]
    assert slow_dsc(mask, median) < 1
    assert measure_neighbours(mask) == pytest.approx(slow_dsc(mask, median))
    grown = np.arange(1, 6)[:, None, None] > np.arange(5)[:, None] + np.zeros((5, 1, 5))
    assert measure_neighbours(grown) == 1  # areas that only grow agree
    assert measure_neighbours(np.zeros((3, 2, 2), bool)) == 1
    assert measure_neighbours(mask[:2]) == 1
