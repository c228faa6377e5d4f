"""The score of a split against the formula of its docstring, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from s3net_jax.masks.auto import Splits


def slow(mask, ignored, pixels):
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
    found = Splits(pixels).scores(masks, ignored)
    # The weights are single precision.
    expected = [slow(*pair, pixels) for pair in zip(masks, ignored, strict=True)]
    np.testing.assert_allclose(found, expected, 1e-5)
