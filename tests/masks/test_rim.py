"""The side of a split that lies along the air surrounds the object."""

from __future__ import annotations

import numpy as np
import pytest

from s3net_jax.config import SegmentConfig
from s3net_jax.masks import find_best_split, thin_volume
from s3net_jax.masks.auto import Splits
from s3net_jax.masks.rim import Rim
from s3net_jax.masks.solid import clean_volume

CONFIG = SegmentConfig()
SHAPE = (6, 60, 72)
AIR, BODY, LUNG = range(3)
LEVELS = np.array([5, 170, 40], np.uint8)


def draw_trunk() -> np.ndarray:
    """Label a trunk whose lungs are crescents at the ribs, as at the bases of the lungs."""
    _, y, x = np.meshgrid(*(np.arange(side) for side in SHAPE), indexing="ij")
    away = ((y - 30) / 25) ** 2 + ((x - 36) / 31) ** 2
    result = np.where(away < 1, BODY, AIR)
    result[(away > 0.45) & (away < 0.7) & (y > 26)] = LUNG
    return result


def measure_slowly(mask: np.ndarray, ignored: np.ndarray, outside: np.ndarray) -> float:
    """The share of the rim by a loop over voxels and their neighbours in a slice."""
    slices, height, width = mask.shape
    inside = total = 0
    for z, y, x in np.ndindex(slices, height, width):
        beside = ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1))
        is_rim = any(
            not (0 <= row < height and 0 <= column < width) or outside[z, row, column]
            for row, column in beside
        )
        if is_rim and not outside[z, y, x] and not ignored[z, y, x]:
            total += 1
            inside += bool(mask[z, y, x])
    return inside / total


def test_the_share_is_that_of_a_loop() -> None:
    random = np.random.default_rng(0)
    outside = np.zeros((3, 9, 11), bool)
    outside[0, :3] = outside[1, :, 7:] = True  # the last slice has none: its border is the rim
    mask, ignored = random.random((2, 3, 9, 11)) < np.array([0.6, 0.2]).reshape(2, 1, 1, 1)
    found = Rim(outside).measure_share(mask & ~outside, ignored)
    assert found == pytest.approx(measure_slowly(mask & ~outside, ignored, outside))


def test_a_side_keeps_its_score_up_to_half_of_the_rim() -> None:
    outside = np.zeros((1, 6, 6), bool)
    outside[:, :2] = True  # the rim: row 2, the ends of rows 3 and 4, and row 5
    none, rim = np.zeros_like(outside), Rim(outside)
    upper = none.copy()
    upper[:, 2:4] = True
    assert rim.measure_share(upper, none) == 0.5 and rim.weigh(upper, none) == 1
    assert rim.weigh(none, none) == 1
    assert rim.weigh(~outside, none) == 0
    upper[:, 4] = True
    assert rim.weigh(upper, none) == pytest.approx(2 * 6 / 16)
    # Voxels of neither side do not count.
    assert rim.weigh(upper, ~upper) == 0


def test_without_surroundings_there_is_no_rim() -> None:
    none = np.zeros((2, 5, 5), bool)
    assert Rim(none).weigh(~none, none) == 1  # the border of a crop tells nothing
    assert Rim(~none).weigh(none, none) == 1


def test_a_trunk_is_not_the_object() -> None:
    labels = draw_trunk()
    noise = np.random.default_rng(0).integers(-4, 5, SHAPE)
    grey = np.clip(LEVELS[labels].astype(int) + noise, 0, 255).astype(np.uint8)
    thin = thin_volume(list(range(SHAPE[0])), lambda n: np.repeat(grey[n][..., None], 3, -1))
    scores = []
    for label in (LUNG, BODY):
        raw = (labels == label) & ~thin.outside
        mask = clean_volume(raw, CONFIG)
        scores.append(Splits(thin.pixels).score(mask[None], (raw & ~mask | thin.outside)[None])[0])
    assert scores[0] < scores[1], "the distance from the centre alone prefers the trunk"
    group, score = find_best_split(labels, thin, CONFIG)
    assert group == (LUNG,) and score == pytest.approx(scores[0])


def test_unions_count_only_if_they_may() -> None:
    labels = draw_trunk()
    grey = LEVELS[labels]
    thin = thin_volume(list(range(SHAPE[0])), lambda n: np.repeat(grey[n][..., None], 3, -1))
    parted = labels.copy()
    parted[(labels == LUNG) & (np.arange(SHAPE[2]) < 36)] = 7  # each lung is a cluster
    both, score = find_best_split(parted, thin, CONFIG)
    one, lower = find_best_split(parted, thin, CONFIG, unions=False)
    assert both == (LUNG, 7) and one in ((LUNG,), (7,)) and 0 < lower < score
