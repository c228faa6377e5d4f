"""The automatic choice: its candidates, and scores against the formula, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from s3net_jax.config import SegmentConfig
from s3net_jax.masks.auto import Splits, compute_center_weight, find_best_clusters, list_groups


def score_slowly(mask, ignored, pixels):
    height, width = mask.shape
    weight, inside, around, away = [], [], [], ([], [])
    for y, x in np.ndindex(height, width):
        far = ((y - (height - 1) / 2) / height) ** 2 + ((x - (width - 1) / 2) / width) ** 2
        away[int(mask[y, x])].append(far)
        if not ignored[y, x]:
            (inside if mask[y, x] else around).append((np.exp(-far / 0.125), pixels[y, x]))
    if not inside or not around:
        return 0.0
    weight, colors = (np.array(part) for part in zip(*inside, *around, strict=True))
    mean, n = np.average(colors, 0, weight), len(inside)
    means = [np.average(colors[s], 0, weight[s]) for s in (slice(n), slice(n, None))]
    shares = [weight[s].sum() / weight.sum() for s in (slice(n), slice(n, None))]
    between = sum(s * ((m - mean) ** 2).sum() for s, m in zip(shares, means, strict=True))
    total = np.average(((colors - mean) ** 2).sum(1), weights=weight)
    spread_out, spread_in = (np.sqrt(np.mean(part)) if part else 0.0 for part in away)
    return between / (total + 1e-6) / (1 + np.exp((spread_in - spread_out) / 0.1))


@pytest.mark.parametrize("share, ignored", [(0.5, 0.0), (0.1, 0.3), (0.9, 0.1), (0, 0), (1, 0.2)])
def test_score(share, ignored):
    random = np.random.default_rng(0)
    mask, apart = random.random((9, 12)) < share, random.random((9, 12)) < ignored
    pixels = random.random((9, 12, 3)).astype(np.float32)
    pixels[mask] *= 0.5
    masks, ignored = (np.stack((part, ~part, part)) for part in (mask, apart))
    found = Splits(pixels).score(masks, ignored)
    # The weights are single precision.
    expected = [score_slowly(*pair, pixels) for pair in zip(masks, ignored, strict=True)]
    np.testing.assert_allclose(found, expected, 1e-5)


def test_score_of_a_single_pixel() -> None:
    pixels = np.random.default_rng(0).random((5, 6, 3)).astype(np.float32)
    mask = np.zeros((5, 6), bool)
    mask[0, 1] = True
    nothing = np.zeros((2, 5, 6), bool)
    found = Splits(pixels).score(np.stack((mask, ~mask)), nothing)
    np.testing.assert_allclose(
        found, [score_slowly(m, nothing[0], pixels) for m in (mask, ~mask)], 1e-5
    )


def test_candidates_are_single_clusters_and_ranges_of_level() -> None:
    labels = np.array([[10, 20, 30, 40], [10, 20, 30, 40]])
    luminance = np.array([[0.5, 0.1, 0.9, 0.3], [0.6, 0.2, 0.8, 0.4]])
    single = [(20,), (40,), (10,), (30,)]
    ranges = [(20, 40), (10, 20, 40), (10, 30), (10, 30, 40)]
    assert list(list_groups(labels, luminance)) == single + ranges
    # Without a cluster, and with a mean that is not the sum; each group once.
    outside = np.zeros((2, 4), bool)
    outside[:, 3] = outside[0, 2] = True
    assert list(list_groups(labels, luminance, outside)) == [
        *((20,), (10,), (30,)),
        *((10, 20), (10, 30)),
    ]
    assert list(list_groups(labels[:, :2], luminance[:, :2])) == [(20,), (10,)]
    assert list(list_groups(labels[:, :1], luminance[:, :1])) == []
    # Of equal levels the smaller label comes first.
    assert list(list_groups(labels[:, :3], np.ones((2, 3))))[:3] == [(10,), (20,), (30,)]


def test_center_weight_is_a_gaussian_in_units_of_the_sides() -> None:
    found = compute_center_weight((5, 8), 0.25)
    for y, x in np.ndindex(5, 8):
        far = ((y - 2) / 5) ** 2 + ((x - 3.5) / 8) ** 2
        assert found[y, x] == pytest.approx(np.exp(-far / (2 * 0.25**2)), rel=1e-6)


def test_best_clusters_takes_the_first_of_equal_candidates() -> None:
    """Two clusters explain the same; the one nearer the centre is the object. Where nothing is
    explained, the first candidate is taken: that of the darkest cluster."""
    labels = np.full((40, 40), 3)
    labels[14:26, 14:26] = 1
    image = np.where(labels == 1, 60, 200).astype(np.uint8)[..., None].repeat(3, -1)
    assert find_best_clusters(labels, image, SegmentConfig()) == (1,)
    assert find_best_clusters(labels, 255 - image, SegmentConfig()) == (1,)
    even = np.full_like(image, 90)
    halves = np.repeat([[4, 2]], 20, 1).repeat(40, 0)
    assert find_best_clusters(halves, even, SegmentConfig()) == (2,)
