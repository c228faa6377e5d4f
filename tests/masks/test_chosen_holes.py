"""Clusters that a person chooses keep the holes that other clusters make, except specks."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import s3net_jax as s3
from s3net_jax.config import SegmentConfig
from s3net_jax.io import Image
from s3net_jax.masks import choose_target, fill_pockets, select_segments
from s3net_jax.run import open_volume

SHAPE = (80, 90)
GROUND, RING, CORE = range(3)
LEVELS = np.array([220, 40, 130], np.uint8)
KEPT, FILLED = (40, 45), (40, 19)
"""A pixel in the large core, and one of a speck in the ring."""


def draw_ring() -> np.ndarray:
    """Label a ring, (H, W), around a core, with a speck of the core's cluster in it."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    away = np.hypot(y - 40, x - 45)
    labels = np.where(away < 34, RING, GROUND)
    labels[away < 16] = CORE
    labels[39:42, 18:21] = CORE
    return labels


def make_image(labels: np.ndarray) -> Image:
    noise = np.random.default_rng(0).integers(-4, 5, labels.shape)
    grey = (LEVELS[labels] + noise).astype(np.uint8)
    return Image(np.repeat(grey[..., None], 3, -1), "ring")


def check(mask: np.ndarray) -> None:
    assert mask[40, 66] and mask[FILLED] and not mask[KEPT] and not mask[2, 2]


@pytest.mark.parametrize("boundary", ["clusters", "local"])
def test_a_chosen_ring_stays_a_ring(boundary: str) -> None:
    labels = draw_ring()
    config = SegmentConfig(boundary=boundary)  # pyright: ignore[reportArgumentType]
    found = select_segments(labels, labels == RING, (RING,), make_image(labels), config)
    check(found.mask)
    by_rule = dataclasses.replace(config, target="dark")
    filled = choose_target(labels, make_image(labels).rgb8(), by_rule).mask
    assert filled[KEPT], "a rule fills every hole, as before"
    if boundary == "clusters":  # the outline is closed, also over specks
        bare = dataclasses.replace(config, fill_holes=False)
        found = select_segments(labels, labels == RING, (RING,), make_image(labels), bare)
        np.testing.assert_array_equal(found.mask, labels == RING)


@pytest.mark.parametrize("volume", ["slices", "shared"])
@pytest.mark.parametrize("boundary", ["clusters", "local"])
def test_a_chosen_shell_of_a_volume_stays_hollow(volume: str, boundary: str) -> None:
    labels = np.stack([draw_ring()] * 4)
    values = np.stack([make_image(one).rgb8()[..., 0] for one in labels])
    values, labels = (np.pad(one, ((1, 1), (0, 0), (0, 0)), "edge") for one in (values, labels))
    labels[[0, -1]] = np.where(labels[[0, -1]] == CORE, RING, labels[[0, -1]])  # closed in 3D
    config = s3.preset("fast").replace(
        fit={"volume": volume}, segment={"boundary": boundary, "target": "all"}
    )
    case = open_volume(values, None, config)
    found = case.select(labels, labels == RING, (RING,))
    for mask in found.mask[1:-1]:
        check(mask)


def test_pockets_are_at_most_half_a_percent_of_a_slice() -> None:
    mask = np.ones((2, 20, 20), bool)
    mask[:, 5, 5:7] = mask[:, 10, 5:8] = False  # 2 and 3 of 400 pixels
    found = fill_pockets(mask, SegmentConfig())
    assert found[:, 5].all() and not found[:, 10, 5:8].any() and not mask[0, 5, 5]
    np.testing.assert_array_equal(fill_pockets(mask, SegmentConfig(fill_holes=False)), mask)
