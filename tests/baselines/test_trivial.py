"""The baselines find what is plain to see."""

from __future__ import annotations

import numpy as np
import pytest

from s3net_jax.baselines import BASELINES, get_baseline
from s3net_jax.config import ConfigError
from s3net_jax.evaluate import measure


def lesion(vignette: bool = False) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    y, x = np.mgrid[:180, :240]
    truth = np.hypot((y - 95) / 40, (x - 125) / 55) < 1
    base = np.where(truth[..., None], (120, 70, 60), (215, 170, 160))
    if vignette:
        base = np.where((np.hypot(y - 90, x - 120) > 135)[..., None], 8, base)
    noisy = base + random.normal(0, 6, base.shape)
    return noisy.clip(0, 255).astype(np.uint8), truth


@pytest.mark.parametrize("name", BASELINES)
def test_a_plain_lesion(name: str) -> None:
    image, truth = lesion()
    labels, mask = BASELINES[name](image)
    assert labels.shape == mask.shape == truth.shape and mask.dtype == bool
    if name != "whole image":
        assert measure(mask, truth)["dsc"] > 93


def test_the_recipe_leaves_the_vignette_out() -> None:
    image, truth = lesion(vignette=True)
    recipe, otsu = (BASELINES[name](image).mask for name in ("classical recipe", "Otsu, dark"))
    corners = np.hypot(*np.mgrid[-90:90, -120:120]) > 140
    assert not recipe[corners].any() and otsu[corners].all()
    assert measure(recipe, truth)["dsc"] > 93


@pytest.mark.parametrize("name", BASELINES)
def test_odd_images(name: str) -> None:
    random = np.random.default_rng(0)
    for image in (
        random.integers(0, 255, (9, 40, 3), np.uint8),
        np.repeat(np.arange(64, dtype=np.uint8)[None, :, None], 20, 0).repeat(3, 2),
    ):
        labels, mask = BASELINES[name](image)
        assert labels.min() >= 0 and mask.shape == image.shape[:2]


def test_the_number_of_clusters() -> None:
    image, _ = lesion(vignette=True)
    three = get_baseline("k-means on RGB", 3)(image)
    assert np.array_equal(np.unique(three.labels), [0, 1, 2])
    plain = get_baseline("k-means on RGB")(image)
    assert np.array_equal(plain.labels, BASELINES["k-means on RGB"](image).labels)
    for name, clusters, sentence in (
        ("k-mean on RGB", None, "Did you mean k-means on RGB"),
        ("Otsu, dark", 3, "has a fixed number of clusters"),
        ("k-means on RGB", 1, "must be at least 2"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            get_baseline(name, clusters)
