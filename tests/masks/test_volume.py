"""The target of a volume is chosen once, in 3D."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from s3net_jax.config import SegmentConfig
from s3net_jax.errors import ConfigError, InputError
from s3net_jax.io import Image
from s3net_jax.masks import (
    choose_volume_target,
    draw_volume_mask,
    find_best_split,
    thin_volume,
)
from s3net_jax.masks.auto import Splits, find_best_clusters
from s3net_jax.masks.cleanup import clean

CONFIG = SegmentConfig()
SHAPE = (9, 40, 48)
AIR, BODY, LUNG, BONE = range(4)
LEVELS = np.array([5, 160, 30, 250], np.uint8)


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    """A trunk: air, body, two lungs in the upper slices, and a bone."""
    z, y, x = np.meshgrid(*(np.arange(side) for side in SHAPE), indexing="ij")
    result = np.full(SHAPE, AIR)
    result[((y - 20) / 16) ** 2 + ((x - 24) / 20) ** 2 < 1] = BODY
    for left in (15, 33):
        radius = np.sqrt(np.clip(1 - ((z - 6) / 4) ** 2, 0, 1))
        result[((y - 19) / 9) ** 2 + ((x - left) / 6) ** 2 < radius**2] = LUNG
    result[((y - 31) / 3) ** 2 + ((x - 24) / 3) ** 2 < 1] = BONE
    return result


@pytest.fixture(scope="module")
def show(labels: np.ndarray) -> Callable[[int], np.ndarray]:
    noise = np.random.default_rng(0).integers(-4, 5, SHAPE)
    grey = np.clip(LEVELS[labels].astype(int) + noise, 0, 255).astype(np.uint8)
    return lambda n: np.repeat(grey[n][..., None], 3, -1)


@pytest.fixture(scope="module")
def image(show: Callable[[int], np.ndarray]) -> Callable[[int], Image]:
    return lambda n: Image(show(n), f"slice {n}")


def thin(show: Callable[[int], np.ndarray], numbers: list[int] | None = None):
    return thin_volume(list(range(SHAPE[0])) if numbers is None else numbers, show)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("auto", (LUNG,)),
        ("dark", (LUNG,)),
        ("bright", (BONE,)),
        ("center", (BODY,)),
        ("all", (BODY, LUNG, BONE)),
        ("point:15,19", (LUNG,)),
        ("point:24,31", (BONE,)),
    ],
)
def test_every_rule_chooses_once(
    labels: np.ndarray, show: Callable[[int], np.ndarray], target: str, expected: tuple[int, ...]
) -> None:
    config = dataclasses.replace(CONFIG, target=target)
    assert choose_volume_target(labels, thin(show), config, "scan.nii") == expected
    blank = labels.copy()
    blank[0] = -1  # a slice of a single value
    found = choose_volume_target(blank, thin(show, list(range(1, 9))), config, "scan.nii")
    assert found == expected


def test_errors(labels: np.ndarray, show: Callable[[int], np.ndarray]) -> None:
    small = thin(show)
    with pytest.raises(InputError, match=r"scan.nii has 48×40 pixels; the point 48,2 is outside"):
        point = dataclasses.replace(CONFIG, target="point:48,2")
        choose_volume_target(labels, small, point, "scan.nii")
    with pytest.raises(ConfigError, match="no target 'drak'"):
        choose_volume_target(labels, small, dataclasses.replace(CONFIG, target="drak"), "scan.nii")
    assert choose_volume_target(np.zeros(SHAPE, int), small, CONFIG, "scan.nii") == ()


def test_the_score_of_one_slice_is_that_of_an_image(
    labels: np.ndarray, show: Callable[[int], np.ndarray]
) -> None:
    pixels = show(6).astype(np.float32) / 255
    mask = clean(labels[6] == LUNG, CONFIG)[None]
    one = Splits(pixels).score(mask, np.zeros_like(mask))
    many = Splits(np.stack([pixels] * 3)).score(
        np.stack([mask] * 3, 1), np.zeros((1, 3, 40, 48)) > 0
    )
    np.testing.assert_allclose(many, one)
    group, score = find_best_split(labels[6:7], thin(show, [6]), CONFIG)
    flat = find_best_clusters(labels[6], show(6), CONFIG)  # with air, which is removed
    expected = clean(np.isin(labels[6], flat), CONFIG)
    np.testing.assert_array_equal(clean(np.isin(labels[6], group), CONFIG), expected)
    assert 0 < score <= 1


def test_many_slices_are_thinned() -> None:
    flat = np.zeros((200, 300, 3), np.uint8)
    flat[50:, 50:] = 200
    few, many = (thin_volume(list(range(count)), lambda n: flat) for count in (20, 300))
    assert few.pixels.shape == (20, 67, 100, 3) and few.step == 3
    assert len(many.numbers) == 128 and many.pixels.shape[1:3] == (40, 60) and many.step == 5
    assert np.diff(many.numbers).max() == 3 and many.numbers[0] == 1 and many.numbers[-1] == 298
    taken = many.take(np.broadcast_to(np.arange(300)[:, None, None], (300, 200, 300)))
    assert taken.shape == (128, 40, 60) and (taken[:, 0, 0] == many.numbers).all()


@pytest.mark.parametrize("boundary", ["clusters", "local"])
def test_the_mask_is_one_body(
    labels: np.ndarray, image: Callable[[int], Image], boundary: str
) -> None:
    config = SegmentConfig(boundary=boundary)  # pyright: ignore[reportArgumentType]
    raw = (labels == LUNG) | (labels == AIR)
    raw[1, 20, 24] = True  # a speck far from the lungs
    mask = draw_volume_mask(raw, image, config)
    truth = labels == LUNG
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > (
        0.93 if boundary == "local" else 0.999
    )
    assert not mask[:2].any() and mask.dtype == bool


def test_a_point_selects_the_body_around_it(
    labels: np.ndarray, image: Callable[[int], Image]
) -> None:
    config = SegmentConfig(target="point:15,19")
    mask = draw_volume_mask(labels == LUNG, image, config)
    np.testing.assert_array_equal(mask, (labels == LUNG) & (np.arange(48) < 24))


def test_blank_slices_stay_empty(labels: np.ndarray, image: Callable[[int], Image]) -> None:
    config = SegmentConfig(boundary="local")
    raw = labels == LUNG
    raw[8] = False
    mask = draw_volume_mask(raw, lambda n: None if n == 8 else image(n), config)
    assert not mask[8].any() and mask[7].any()
    assert not draw_volume_mask(np.zeros(SHAPE, bool), image, config).any()
