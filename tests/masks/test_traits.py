"""Traits of masks are those of a slow, obvious computation, one mask at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from s3net_jax.io import LUMA
from s3net_jax.masks.background import Background, fit_background
from s3net_jax.masks.traits import TRAITS, measure_traits

SHAPES = [(24, 31), (40, 40), (9, 60)]


def measure_slowly(
    image: np.ndarray,
    used: np.ndarray,
    masks: np.ndarray,
    number: int,
    support: np.ndarray,
    background: Background,
) -> dict[str, float]:
    """Compute the traits of one mask by their definitions."""
    height, width = used.shape
    mask = masks[number] & used
    area = int(mask.sum())
    reach = min(12, max(2, round(0.2 * math.sqrt(area))))
    points = np.argwhere(mask)
    ring = np.zeros_like(mask)
    edge = np.zeros_like(mask)
    frame = np.zeros_like(mask)
    for y in range(height):
        for x in range(width):
            near = np.abs(points - (y, x)).max(1).min()
            ring[y, x] = used[y, x] and not mask[y, x] and near <= reach
            around = mask[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
            edge[y, x] = mask[y, x] and not around.all()
            far = min(y, x, height - 1 - y, width - 1 - x) < 2
            out = [
                not used[j, i]
                for j in range(max(0, y - 2), min(height, y + 3))
                for i in range(max(0, x - 2), min(width, x + 3))
                if abs(j - y) + abs(i - x) <= 2
            ]
            frame[y, x] = used[y, x] and (far or any(out))
    smooth = np.stack([ndimage.gaussian_filter(image[..., c] / 255, 0.7) for c in range(3)], -1)
    planes = [ndimage.gaussian_gradient_magnitude(image[..., c] / 255, 1.0) for c in range(3)]
    slope = np.sum(planes, 0)
    inner, outer = smooth[mask], smooth[ring]
    apart = (outer.mean(0) - inner.mean(0)) if len(outer) else -inner.mean(0)
    variance = inner.var(0).sum() + (outer.var(0).sum() if len(outer) else 0)
    contrast = (apart**2).sum() / ((apart**2).sum() + 2 * variance + 1e-4)
    residual = background.residual.mean(-1)
    rest = used & ~mask
    others = [one & used for one in masks]
    dsc = [2 * (mask & one).sum() / (mask.sum() + one.sum()) for one in others]
    centre = points.mean(0) - (np.array(used.shape) - 1) / 2
    return {
        "size": math.log(area / used.sum()),
        "contrast": contrast,
        "darkness": contrast * np.sign(apart @ LUMA),
        "edge": math.log1p(slope[edge].mean() / (slope[used].mean() + 2e-3)),
        "border": (mask & frame).sum() / frame.sum(),
        "compactness": min(1, 4 * math.pi * area / edge.sum() ** 2),
        "depth": math.tanh(residual[mask].mean() / (4 * background.spread)),
        "remainder": math.tanh(np.abs(residual[rest]).mean() / (4 * background.spread)),
        "agreement": float(np.average(dsc, weights=support)),
        "distance": float(np.hypot(*(centre / (np.array(used.shape) / 2)))),
    }


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_traits_are_those_of_their_definitions(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(sum(shape))
    height, width = shape
    y, x = np.mgrid[:height, :width]
    image = random.integers(90, 160, (*shape, 3)).astype(np.uint8)
    disc = np.hypot(y - height / 2, x - width / 3) < height / 4
    image[disc] //= 2
    used = np.ones(shape, bool)
    used[:3, :4] = False
    speckled = random.random(shape) < 0.3
    masks = np.stack([disc, ~disc, disc | (x > width - 3), speckled, (y < 2) & (x > 5)])
    support = random.random(len(masks)) + 0.1
    background = fit_background(image / 255, used, 1.0)
    found = measure_traits(image, used, masks, support, background)
    assert found.shape == (len(masks), len(TRAITS)) and np.isfinite(found).all()
    for number in range(len(masks)):
        slow = measure_slowly(image, used, masks, number, support, background)
        for name, value in zip(TRAITS, found[number], strict=True):
            assert value == pytest.approx(slow[name], rel=1e-9, abs=1e-9), (number, name)


def test_a_mask_of_the_whole_field_has_finite_traits() -> None:
    image = np.full((12, 12, 3), 100, np.uint8)
    used = np.ones((12, 12), bool)
    background = fit_background(image / 255, used, 1.0)
    found = measure_traits(image, used, used[None], np.ones(1), background)
    assert np.isfinite(found).all()
    assert found[0, TRAITS.index("size")] == 0 and found[0, TRAITS.index("border")] == 1
