"""Fits by DeepCluster, of one image and of a data set."""

from __future__ import annotations

import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import s3net_jax as s3
from s3net_jax.config import DeepClusterConfig
from s3net_jax.methods import get_method
from s3net_jax.methods.deepcluster.dataset import cluster_images, fit_images

CONFIG = s3.preset("deepcluster-image").replace(
    model={"channels": 8},
    fit={"steps": 3},
    method={"components": 4, "iterations": 5, "inner": 2},
)
KEY = jax.random.key(0)
DISC = np.hypot(*np.ogrid[-11:13, -10:10]) < 6
"""The dark disc of the fixture ``picture``."""


def measure_agreement(labels: Any, mask: np.ndarray) -> float:
    """Return the share of pixels in which label 1 is the mask.

    The border, which the network sees as darker because of the zero padding, is left out.
    """
    inner = (slice(3, -3), slice(3, -3))
    return float(np.mean((np.asarray(labels) == 1)[inner] == mask[inner]))


def test_the_preset():
    config = s3.preset("deepcluster-image")
    assert config.method == DeepClusterConfig() and get_method("deepcluster").step is not None
    assert (config.fit.learning_rate, config.fit.momentum) == (0.05, 0.9)
    assert (config.model.channels, config.fit.stop_labels) == (100, 0)


class TestOneImage:
    def test_a_fit_separates_disc_and_ground(self, picture: np.ndarray):
        # Fewer features can be dominated by the dark border. Of the first component, normalising
        # leaves the sign: which side of the mean a pixel is on.
        config = CONFIG.replace(
            model={"channels": 32},
            method={"clusters": 2, "components": 1, "inner": 5},
            fit={"steps": 6, "record_labels": True},
        )
        result = s3.fit(KEY, picture, config)
        assert set(result.history) == {"loss", "ce", "inertia", "labels"}
        assert np.shape(result.logits) == (24, 20, 2)
        assert result.label_maps is not None and result.label_maps.shape == (6, 24, 20)
        assert np.all(np.asarray(result.history["labels"]) == 2)
        np.testing.assert_allclose(result.history["loss"], result.history["ce"])
        agreement = measure_agreement(result.labels, DISC)
        assert max(agreement, 1 - agreement) > 0.9

    def test_repeated_fits_are_identical(self, picture: np.ndarray):
        first, second = (s3.fit(KEY, picture, CONFIG) for _ in range(2))
        np.testing.assert_array_equal(first.logits, second.logits)
        other = s3.fit(jax.random.key(1), picture, CONFIG)
        assert not np.array_equal(first.logits, other.logits)

    @pytest.mark.slow
    def test_a_batch_has_the_results_of_single_fits(self, picture: np.ndarray):
        keys = jax.random.split(KEY, 2)
        images = np.stack([picture, picture[::-1]])
        batch = s3.fit_batch(keys, images, CONFIG)
        for n in range(2):
            single = s3.fit(keys[n], images[n], CONFIG)
            np.testing.assert_allclose(batch.logits[n], single.logits, rtol=1e-3, atol=1e-3)
            np.testing.assert_array_equal(batch.labels[n], single.labels)

    @pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
    def test_a_constant_image_gives_finite_results(self, value: float):
        result = s3.fit(KEY, np.full((24, 20, 3), value, np.float32), CONFIG)
        assert np.all(np.isfinite(result.logits))
        for name in ("loss", "ce", "inertia"):
            assert np.all(np.isfinite(result.history[name]))

    def test_dynamic_numbers_share_one_program(self, picture: np.ndarray):
        compiled: Any = sys.modules["s3net_jax.fitting.fit"]._fit
        compiled.clear_cache()
        results = [
            s3.fit(KEY, picture, CONFIG.replace(**changes))
            for changes in (
                {},
                {"method": {"weight_decay": 0.1}},
                {"fit": {"learning_rate": 0.1}},
                {"fit": {"momentum": 0.5}},
                {"loss": {"weight_ce": 2}},
            )
        ]
        assert compiled._cache_size() == 1
        for other in results[1:]:
            assert not np.array_equal(results[0].logits, other.logits)

    @pytest.mark.slow
    @pytest.mark.parametrize("changes", [{"flip": True}, {"jitter": 0.2}])
    def test_views_change_the_fit(self, picture: np.ndarray, changes: dict[str, Any]):
        plain = s3.fit(KEY, picture, CONFIG)
        other = s3.fit(KEY, picture, CONFIG.replace(method=changes))
        assert np.all(np.isfinite(other.logits))
        assert not np.array_equal(plain.logits, other.logits)

    @pytest.mark.slow
    @pytest.mark.parametrize("shape", [(9, 8, 1), (8, 11, 4)])
    def test_images_of_other_shapes(self, shape: tuple[int, int, int]):
        image = np.random.default_rng(0).random(shape).astype(np.float32)
        assert s3.fit(KEY, image, CONFIG).labels.shape == shape[:2]

    @pytest.mark.slow
    def test_activations_in_bfloat16(self, picture: np.ndarray):
        result = s3.fit(KEY, picture, CONFIG.replace(model={"dtype": "bfloat16"}))
        assert np.all(np.isfinite(result.logits))


class TestDataSet:
    CONFIG = CONFIG.replace(
        model={"channels": 32},
        method={"clusters": 2, "components": 1, "flip": True, "jitter": 0.1},
        fit={"steps": 4},
    )

    def make_images(self, picture: np.ndarray) -> np.ndarray:
        """Five images with the disc at different places."""
        return np.stack([np.roll(picture, n - 2, 1) for n in range(5)])

    @pytest.mark.slow
    def test_a_label_means_the_same_in_every_image(self, picture: np.ndarray):
        images = jnp.asarray(self.make_images(picture))
        seen: list[dict[str, Any]] = []
        params = fit_images(
            KEY, images, self.CONFIG, batch=2, sample=100, progress=lambda _, r: seen.append(r)
        )
        assert len(seen) == 4 and set(seen[0]) == {"loss", "ce", "inertia"}
        assert np.all([np.isfinite(list(record.values())) for record in seen])
        labels = cluster_images(KEY, params, images, self.CONFIG, 100).labels
        agreements = [
            measure_agreement(labels[n], np.roll(DISC, n - 2, 1)) for n in range(len(images))
        ]
        assert min(agreements) > 0.85 or max(agreements) < 0.15

    def test_repeated_fits_are_identical(self, picture: np.ndarray):
        images = jnp.asarray(self.make_images(picture)[:2])
        first, second = (fit_images(KEY, images, self.CONFIG) for _ in range(2))
        jax.tree.map(np.testing.assert_array_equal, first, second)

    def test_wrong_arguments(self, picture: np.ndarray):
        with pytest.raises(ValueError, match=r"\(N, H, W, C\), got \(24, 20, 3\)"):
            fit_images(KEY, jnp.asarray(picture), self.CONFIG)
        with pytest.raises(ValueError, match="batch must be at least 1, got 0"):
            fit_images(KEY, jnp.asarray(picture)[None], self.CONFIG, batch=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": {"clusters": 1}}, r"method\.clusters must be in 2\.\.model\.channels=8, got 1"),
        ({"method": {"components": 0}}, r"method\.components must be at least 1, got 0"),
        ({"method": {"iterations": 0}}, "at least 1, got 0"),
        ({"method": {"inner": 0}}, "at least 1, got 0"),
        ({"method": {"jitter": 1.0}}, r"method\.jitter must be in \[0, 1\), got 1"),
        ({"method": {"weight_decay": -1}}, "at least 0, got -1"),
        ({"fit": {"stop_labels": 3}}, r"set fit\.stop_labels=0"),
        ({"model": {"deform": "none"}}, "has no effect on the method deepcluster"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, Any], message: str):
    with pytest.raises(s3.ConfigError, match=message):
        CONFIG.replace(**changes)
