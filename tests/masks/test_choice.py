"""The choice by traits: candidates of two kinds, their scores, and outlines that stay near."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from s3net_jax.config import SegmentConfig
from s3net_jax.masks import TRAIT_WEIGHTS, TRAITS, find_candidates, rank_candidates, score_traits
from s3net_jax.masks.boundary import redraw
from s3net_jax.presets import preset

CONFIG = preset("robust").segment


def draw_spot(side: int = 96, depth: float = 0.6, radius: int = 9) -> tuple[np.ndarray, np.ndarray]:
    """Draw a small dark spot on skin whose light is uneven."""
    y, x = np.mgrid[:side, :side]
    spot = np.hypot(y - 0.55 * side, x - 0.45 * side) < radius
    light = 1 - 0.5 * x / side
    shade = light * np.where(spot, depth, 1.0)
    noise = np.random.default_rng(0).normal(0, 2, (side, side, 1))
    image = shade[..., None] * np.array([220, 170, 150]) + noise
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), spot


def compute_dsc(one: np.ndarray, two: np.ndarray) -> float:
    return 2 * (one & two).sum() / (one.sum() + two.sum())


def test_a_faint_spot_in_uneven_light_is_chosen_though_no_network_proposes_it() -> None:
    image, spot = draw_spot()
    halves = (np.mgrid[:96, :96][1] > 48).astype(np.int32)  # the light explains most variance
    ranking = rank_candidates([halves], image, CONFIG)
    assert ranking is not None
    assert compute_dsc(ranking.best.mask, spot) > 0.85
    assert ranking.sources[ranking.place] == () and ranking.best.index == 0
    before = rank_candidates([halves], image, preset("best").segment)
    assert before is not None and compute_dsc(before.best.mask, spot) < 0.3


def test_candidates_are_different_and_know_their_label_maps() -> None:
    image, spot = draw_spot()
    maps = [spot.astype(np.int32), 3 - spot, np.zeros((96, 96), np.int32)]
    found = find_candidates(maps, image, CONFIG)
    assert found is not None
    assert len({mask.tobytes() for mask in found.masks}) == len(found.masks) == len(found.sources)
    assert found.traits.shape == (len(found.masks), len(TRAITS))
    place = next(n for n, mask in enumerate(found.masks) if (mask == spot).all())
    assert found.sources[place] == (0, 1)


def test_scores_are_logistic() -> None:
    traits = np.random.default_rng(0).normal(size=(5, len(TRAITS)))
    total = TRAIT_WEIGHTS["constant"] + sum(
        TRAIT_WEIGHTS[name] * traits[:, n] for n, name in enumerate(TRAITS)
    )
    assert np.allclose(score_traits(traits), 1 / (1 + np.exp(-total)), rtol=1e-12)


def test_an_even_image_has_no_candidates() -> None:
    image = np.full((40, 40, 3), 90, np.uint8)
    assert find_candidates([np.zeros((40, 40), np.int32)], image, CONFIG) is None


def test_weights_are_those_of_the_result_file() -> None:
    path = Path(__file__).parents[2] / "docs/quality/choice.json"
    content = json.loads(path.read_text())
    assert content["weights"] == TRAIT_WEIGHTS
    digests = {name: preset(name).digest for name in content["config_digests"]}
    assert content["config_digests"] == digests


@pytest.mark.parametrize("reach", [0.0, 0.15, 0.4])
def test_a_limited_outline_stays_within_its_reach(reach: float) -> None:
    image, spot = draw_spot(128, 0.5, 20)
    x = np.mgrid[:128, :128][1]
    start = spot & (x < 0.45 * 128)  # half of the spot
    config = SegmentConfig(boundary="local", boundary_reach=reach)
    drawn = redraw(image, start, np.zeros_like(start), config, True)
    far = np.sqrt(start.sum()) * reach
    if reach == 0:
        assert compute_dsc(drawn, spot) > 0.95, "no limit: the outline finds the whole spot"
    else:
        points = np.argwhere(start)
        for place in np.argwhere(drawn & ~start)[::7]:
            # Two pixels more, because the opening and the closing follow.
            assert np.hypot(*(points - place).T).min() <= far + 2
        assert compute_dsc(drawn, spot) < 0.95
