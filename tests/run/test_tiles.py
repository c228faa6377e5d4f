"""Tiles cover the image, overlap, and come together without seams."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3net_jax.run.tiles import Tiling

sides = st.integers(8, 90)


@given(sides, sides, st.integers(8, 40), st.floats(0.05, 0.5))
def test_tiles_cover_and_overlap(height: int, width: int, tile: int, overlap: float) -> None:
    tiling = Tiling((height, width), tile, overlap)
    covered = np.zeros((height, width), int)
    for n in range(len(tiling)):
        part = covered[tiling[n]]
        assert part.shape == (min(height, tile), min(width, tile))
        covered[tiling[n]] += 1
    assert covered.min() >= 1
    rows = sorted({(tiling[n][0].start, tiling[n][0].stop) for n in range(len(tiling))})
    for (_, end), (start, _) in itertools.pairwise(rows):
        assert end - start >= int(tile * overlap) - 1


@pytest.mark.parametrize("seed", range(5))
def test_one_scene_cut_in_tiles_is_whole_again(seed: int) -> None:
    """Three clusters, numbered at random in every tile, and colours with noise."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:120, :150]
    scene = (np.hypot(y - 60, x - 70) < 35) + 2 * (x > 110)
    colors = np.array([0.2, 0.5, 0.9])[scene][..., None] + random.normal(0, 0.02, (120, 150, 1))
    tiling = Tiling(scene.shape, 48, 0.25)
    maps = []
    for n in range(len(tiling)):
        values, labels = np.unique(scene[tiling[n]], return_inverse=True)
        maps.append(random.permutation(len(values))[labels].reshape(scene[tiling[n]].shape))
    joined = tiling.join_labels(maps, colors)
    pairs = np.unique(np.stack([scene, joined], -1).reshape(-1, 2), axis=0)
    assert len(pairs) == 3, "one label for each cluster, one cluster for each label"


def test_shares_are_blended() -> None:
    tiling = Tiling((50, 70), 32, 0.3)
    shares = [np.full((32, 32), 0.25, np.float32) for _ in range(len(tiling))]
    np.testing.assert_allclose(tiling.blend(shares), 0.25, rtol=1e-6)
    step = tiling.blend([None, *shares[1:]])
    assert step.max() == 1 and np.abs(np.diff(step, axis=1)).max() < 0.2
