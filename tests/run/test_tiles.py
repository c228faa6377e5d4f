"""Test that tiles cover the image, overlap, and are joined without seams."""

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
    """Make three clusters with random numbers in every tile, and noisy colours."""
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


def centredness(tiling: Tiling, n: int) -> np.ndarray:
    """Compute each pixel's closeness to the centre of tile ``n``, (H, W), 0 outside the tile."""
    rows, columns = tiling[n]
    found = np.zeros(tiling.shape)
    for y, x in itertools.product(range(rows.start, rows.stop), range(columns.start, columns.stop)):
        near = [
            min(place - side.start + 0.5, side.stop - place - 0.5) / (side.stop - side.start)
            for place, side in ((y, rows), (x, columns))
        ]
        found[y, x] = 4 * near[0] * near[1]
    return found


@pytest.mark.parametrize("shape", [(60, 75), (20, 90), (61, 33)])
def test_each_pixel_is_the_tiles_whose_centre_is_nearest(monkeypatch, shape) -> None:
    """Up to nine tiles overlap; in any order, no seam follows a tile's edge."""

    class Numbered:
        """A pool that keeps the tiles' own labels."""

        def add(self, labels: np.ndarray, colors: np.ndarray, known: np.ndarray) -> np.ndarray:
            assert labels.shape == colors.shape[:2] == known.shape
            return labels

    monkeypatch.setattr("s3net_jax.run.tiles.LabelPool", Numbered)
    tiling = Tiling(shape, 32, 0.5)
    sides = [(rows.stop - rows.start, columns.stop - columns.start) for rows, columns in tiling]
    maps = [np.full(side, n, np.int32) for n, side in enumerate(sides)]
    joined = tiling.join_labels(maps, np.zeros((*shape, 1)))
    near = np.stack([centredness(tiling, n) for n in range(len(tiling))])
    assert (near > 0).sum(0).max() >= (4 if shape[0] > 32 else 2)
    chosen = np.take_along_axis(near, joined[None], 0)[0]
    np.testing.assert_allclose(chosen, near.max(0), rtol=1e-6)


def test_shares_are_weighted_by_the_nearness_of_centres() -> None:
    random = np.random.default_rng(0)
    tiling = Tiling((50, 70), 32, 0.3)
    shares = [random.random((32, 32)).astype(np.float32) for _ in range(len(tiling))]
    near = [centredness(tiling, n) for n in range(len(tiling))]
    total = np.zeros(tiling.shape)
    for n, weight in enumerate(near):
        total[tiling[n]] += weight[tiling[n]] * (1 if n == 2 else shares[n])
    blended = tiling.blend([None if n == 2 else share for n, share in enumerate(shares)])
    np.testing.assert_allclose(blended, total / np.sum(near, 0), rtol=1e-5)
    assert blended.dtype == np.float32


def test_places_of_tiles() -> None:
    """Tiles are as few as the overlap allows, evenly spaced, and the last one ends at the edge."""

    def starts(side: int, tile: int, overlap: float) -> list[int]:
        tiling = Tiling((side, 8), tile, overlap)
        return [tiling[n][0].start for n in range(len(tiling))]

    assert starts(32, 32, 0.25) == [0] and starts(20, 32, 0.25) == [0]
    assert starts(33, 32, 0.25) == [0, 1]
    assert starts(56, 32, 0.25) == [0, 24] and starts(57, 32, 0.25) == [0, 12, 25]
    assert starts(100, 40, 0.5) == [0, 20, 40, 60] and starts(101, 40, 0.5) == [0, 15, 30, 46, 61]
    order = Tiling((96, 96), 32, 0.0)._order_from_centre()
    assert order[0] == 4 and set(order[1:5]) == {1, 3, 5, 7}, "the middle, sides, then corners"
