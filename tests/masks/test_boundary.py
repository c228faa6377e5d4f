"""Boundaries drawn anew lie where the image changes, wherever the first guess lay."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from s3net_jax.config import SegmentConfig
from s3net_jax.masks.boundary import _blurred, _half_blur, redraw

CONFIG = SegmentConfig(boundary="local")
SHAPE = (150, 200)
NOTHING = np.zeros((32, 32), bool)


def ellipse(y: float, x: float, height: float, width: float, shape=SHAPE) -> np.ndarray:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return ((rows - y) / height) ** 2 + ((columns - x) / width) ** 2 < 1


def shaded(truth: np.ndarray, inner: float = 90, outer: float = 190) -> np.ndarray:
    """(H, W, 3) uint8: a blurred edge, noise, and light that falls from left to right."""
    random = np.random.default_rng(0)
    grey = ndimage.gaussian_filter(np.where(truth, inner, outer).astype(float), 2)
    grey = grey * np.linspace(1.15, 0.8, truth.shape[1]) + random.normal(0, 6, truth.shape)
    return np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, -1)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())


@pytest.mark.parametrize("size, shift", [(0.5, 0), (0.8, 8), (1.4, 0), (1.2, -10)])
def test_from_a_rough_guess(size: float, shift: float) -> None:
    truth = ellipse(70, 95, 35, 45)
    guess = ellipse(70 + shift, 95 + shift, 35 * size, 45 * size)
    found = redraw(shaded(truth), guess, np.zeros(SHAPE, bool), CONFIG, central=True)
    assert found.shape == SHAPE and dice(found, truth) > 0.97


def test_a_bright_target_too() -> None:
    truth = ellipse(70, 95, 35, 45)
    image = shaded(truth, 200, 110)
    found = redraw(image, ellipse(75, 90, 20, 25), NOTHING, CONFIG, central=True)
    assert dice(found, truth) > 0.97


def test_both_lungs_and_not_the_air_outside() -> None:
    body = ellipse(75, 100, 65, 90)
    truth = ellipse(75, 62, 38, 24) | ellipse(75, 138, 38, 24)
    grey = np.where(body & ~truth, 150, 12)
    grey[:, 60:140][~body[:, 60:140]] = 60  # not black: no vignette, and above and below the body
    image = np.repeat(grey.astype(np.uint8)[..., None], 3, -1)
    air = ~body
    found = redraw(image, truth & ellipse(70, 100, 60, 60), air, CONFIG, central=True)
    assert dice(found, truth) > 0.97


def test_what_lies_between_two_parts_that_nearly_meet_is_not_filled() -> None:
    truth = ellipse(75, 100, 55, 60) & ~ellipse(75, 100, 30, 32)
    truth[:, 98:102] = False  # half rings, four pixels apart at both ends
    image = np.repeat(np.where(truth, 60, 200).astype(np.uint8)[..., None], 3, -1)
    for joined in (False, True):
        image[:30, 98:102] = 60 if joined else 200  # one part, open below
        found = redraw(image, truth, np.zeros(SHAPE, bool), CONFIG, central=True)
        assert not found[75, 100] and dice(found, truth) > 0.95


def test_parts_that_were_not_there_before_stay_away() -> None:
    left, right = ellipse(75, 50, 30, 25), ellipse(75, 150, 30, 25)
    image = shaded(left | right)
    found = redraw(image, ellipse(75, 50, 20, 20), NOTHING, CONFIG, central=False)
    assert dice(found, left) > 0.96
    both = redraw(image, ellipse(75, 50, 20, 20), NOTHING, CONFIG, central=True)
    assert dice(both, left | right) > 0.96


def test_level_moves_the_outline() -> None:
    truth = ellipse(70, 95, 35, 45)
    image = np.asarray(ndimage.gaussian_filter(shaded(truth), (6, 6, 0)))
    areas = [
        redraw(image, truth, NOTHING, SegmentConfig(boundary_level=level), central=True).sum()
        for level in (0.3, 0.5, 0.7)
    ]
    assert areas[0] < areas[1] < areas[2]


def test_colors_that_count() -> None:
    truth, other = ellipse(70, 95, 35, 45), ellipse(60, 110, 35, 45)
    image = np.stack([shaded(other)[..., 0], shaded(other)[..., 0], shaded(truth)[..., 0]], -1)
    blue = redraw(image, truth, NOTHING, CONFIG, central=True)
    assert dice(blue, truth) > 0.97
    red = SegmentConfig(boundary_colors=(1, 0, 0))
    assert dice(redraw(image, truth, NOTHING, red, central=True), other) > 0.97


def test_holes() -> None:
    truth = ellipse(75, 100, 50, 60) & ~ellipse(75, 100, 18, 20)
    image = shaded(truth)
    filled = redraw(image, truth, NOTHING, CONFIG, central=True)
    assert filled[75, 100]
    kept = redraw(image, truth, NOTHING, SegmentConfig(fill_holes=False), central=True)
    assert not kept[75, 100]


def test_nothing_of_nothing() -> None:
    assert not redraw(shaded(ellipse(70, 95, 35, 45)), NOTHING, NOTHING, CONFIG, True).any()


@pytest.mark.parametrize("shape", [(9, 12), (40, 33), (700, 900)])
def test_any_size(shape: tuple[int, int]) -> None:
    truth = ellipse(shape[0] / 2, shape[1] / 2, shape[0] / 3, shape[1] / 3, shape)
    image = np.repeat(np.where(truth, 60, 200).astype(np.uint8)[..., None], 3, -1)
    found = redraw(image, truth, np.zeros(shape, bool), CONFIG, central=True)
    assert found.shape == shape and dice(found, truth) > 0.9


@pytest.mark.parametrize("width", [0.15, 0.25, 0.4])
def test_local_means_are_gaussian_to_single_precision(width):
    half = _half_blur(128, width)
    place = np.arange(128)
    table = np.exp(-((place[:, None] - place) ** 2) / (2 * (width * 128) ** 2))
    table /= table.sum(1).max()
    planes = np.random.default_rng(0).random((3, 128, 128), np.float32)
    expected = table @ planes.astype(np.float64) @ table.T
    error = np.abs(_blurred(planes, half) - expected).max()
    # Sums of 128 terms along each of two axes.
    assert error <= np.sqrt(2 * 128) * np.finfo(np.float32).eps * expected.max()
