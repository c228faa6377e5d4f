"""Test fits of SGSCN, DFC and SLIC backpropagation: objectives, trajectories, batches, programs."""

from __future__ import annotations

import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import s3net_jax as s3
from s3net_jax import fitting
from s3net_jax.config import DFCConfig, SGSCNConfig, SLICBackpropConfig
from s3net_jax.losses import cross_entropy, pseudo_label
from s3net_jax.methods import StepInputs, get_method
from s3net_jax.methods.responses import compute_center_term, compute_continuity

NAMES = {
    "sgscn": ("ce", "continuity", "center"),
    "dfc": ("ce", "continuity"),
    "slic-backprop": ("ce",),
}
KEY = jax.random.key(3)


def make_config(name: str, **changes: Any) -> s3.Config:
    config = s3.preset(name).replace(input={"size": 24}, model={"channels": 8}, fit={"steps": 6})
    return config.replace(**changes)


def forward(name: str, picture: np.ndarray, **changes: Any):
    """The objective at initial parameters, and the configuration."""
    config = make_config(name, **changes)
    with jax.enable_x64(config.model.dtype == "float64"):
        images = jnp.asarray(picture[None], config.model.dtype)
        method = get_method(name)
        model = method.build(config, picture.shape, nnx.Rngs(0))
        data = None
        if method.prepare is not None:
            data = jax.tree.map(lambda a: a[None], method.prepare(picture, config))
        inputs = StepInputs(images, fitting.hyperparameters(config), data=data)
        return method.objective(model, inputs, config), config, data


def test_presets_are_those_of_the_released_code():
    methods = {name: s3.preset(name).method for name in NAMES}
    assert methods == {
        "sgscn": SGSCNConfig(weight_continuity=5.0, center="off"),
        "dfc": DFCConfig(weight_continuity=1.0),
        "slic-backprop": SLICBackpropConfig(superpixels=10_000, compactness=100.0),
    }
    for name in NAMES:
        config = s3.preset(name)
        assert config.preset == name
        assert (config.model.channels, config.model.blocks, config.loss.weight_ce) == (100, 2, 1.0)
        assert (config.fit.learning_rate, config.fit.momentum) == (0.1, 0.9)
        assert (config.fit.steps, config.fit.stop_labels, config.fit.stop_after) == (50, 3, 1)
        assert config.input.channel_order == "bgr"


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_parameters(name):
    params = fitting.initial_params(KEY, s3.preset(name), (24, 20, 3))
    assert sum(a.size for a in jax.tree.leaves(params)) == 103_600


@pytest.mark.slow
@pytest.mark.parametrize("center", ["off", "released", "softmax"])
def test_objective_of_sgscn(picture, center):
    result, _, _ = forward("sgscn", picture, method={"center": center})
    r = result.logits
    assert set(result.terms) == set(NAMES["sgscn"])
    np.testing.assert_allclose(result.terms["ce"], cross_entropy(r, pseudo_label(r)), rtol=1e-6)
    np.testing.assert_allclose(result.terms["continuity"], compute_continuity(r), rtol=1e-6)
    expected = 0 if center == "off" else compute_center_term(r, softmax=center == "softmax")
    np.testing.assert_allclose(result.terms["center"], expected, rtol=1e-5)
    total = result.terms["ce"] + 5 * result.terms["continuity"] + result.terms["center"]
    np.testing.assert_allclose(result.loss, total, rtol=1e-6)
    np.testing.assert_array_equal(result.labels, np.argmax(r, -1))


def test_dfc_is_sgscn_with_another_weight(picture):
    dfc, _, _ = forward("dfc", picture)
    sgscn, _, _ = forward("sgscn", picture, method={"weight_continuity": 1})
    assert dfc.loss == sgscn.loss
    np.testing.assert_allclose(dfc.loss, dfc.terms["ce"] + dfc.terms["continuity"], rtol=1e-6)


@pytest.mark.slow
def test_objective_of_slic_backprop(picture):
    changes = {"superpixels": 20, "compactness": 10}
    result, _, data = forward("slic-backprop", picture, method=changes)
    assert data is not None
    refined = np.empty(picture.shape[:2], np.int32)
    labels, numbers = np.asarray(result.labels[0]), data["superpixels"][0]
    np.testing.assert_array_equal(labels, np.argmax(result.logits[0], -1))
    for n in np.unique(numbers):
        refined[numbers == n] = np.bincount(labels[numbers == n]).argmax()
    assert np.any(refined != labels)
    expected = cross_entropy(result.logits, jnp.asarray(refined[None]))
    np.testing.assert_allclose(result.loss, expected, rtol=1e-6)
    np.testing.assert_array_equal(result.terms["ce"], result.loss)


def test_slic_backprop_without_superpixels_is_refused(picture):
    config = make_config("slic-backprop")
    model = get_method("slic-backprop").build(config, (24, 20, 3), nnx.Rngs(0))
    inputs = StepInputs(jnp.asarray(picture[None]), fitting.hyperparameters(config))
    with pytest.raises(ValueError, match="needs superpixels"):
        fitting.objective(model, inputs, config)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_fit(name, picture):
    config = make_config(name, fit={"steps": 12, "stop_labels": 0, "record_labels": True})
    result = s3.fit(KEY, picture, config)
    assert set(result.history) == {"loss", *NAMES[name], "labels"}
    assert all(np.isfinite(values).all() for values in result.history.values())
    assert result.history["loss"][-1] < result.history["loss"][0]
    assert result.label_maps is not None
    counts = [len(np.unique(labels)) for labels in result.label_maps]
    np.testing.assert_array_equal(result.history["labels"], counts)
    assert counts[0] == 8  # normalised responses use every label at first
    assert 2 <= counts[-1] <= 8
    np.testing.assert_array_equal(result.labels, np.argmax(result.logits, -1))
    again = s3.fit(KEY, picture, config)
    jax.tree.map(np.testing.assert_array_equal, result, again)


@pytest.mark.slow
def test_labels_merge_over_fifty_steps(picture):
    """A stronger continuity term leaves fewer labels."""
    counts = {}
    for weight in (0.0, 5.0):
        changes: dict[str, Any] = {"fit": {"steps": 50, "stop_labels": 0}}
        config = make_config(
            "sgscn", **changes, model={"channels": 24}, method={"weight_continuity": weight}
        )
        counts[weight] = np.asarray(s3.fit(KEY, picture, config).history["labels"])
        assert counts[weight][0] > 20
    assert counts[5.0][-1] < counts[0.0][-1]
    assert counts[5.0][-1] < 12


@pytest.mark.slow
def test_early_stop_counts_labels_before_the_step(picture):
    """The fit ends after the first step whose forward pass has few labels, update included."""
    config = make_config("sgscn", fit={"steps": 4, "stop_labels": 8})
    stopped = s3.fit(KEY, picture, config)
    assert int(stopped.steps) == 1
    one = s3.fit(KEY, picture, make_config("sgscn", fit={"steps": 1, "stop_labels": 0}))
    np.testing.assert_allclose(stopped.logits, one.logits, atol=1e-4)


@pytest.mark.slow
def test_released_center_term_collapses(picture):
    config = make_config("sgscn", method={"center": "released"}, model={"channels": 24})
    result = s3.fit(KEY, picture, config)
    assert int(result.steps) <= 4
    assert len(np.unique(result.labels)) <= 3


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_batches_are_single_fits(name, x64, picture):
    """One program fits other images, seeds and weights, which stop at other steps."""
    config = make_config(
        name, model={"dtype": "float64"}, fit={"steps": 8, "stop_labels": 5, "stop_after": 2}
    )
    images = np.stack([picture, picture[::-1], picture**2]).astype(float)
    keys = jax.random.split(KEY, 3)
    hyper = fitting.grid(config, learning_rate=(0.05, 0.1, 0.3))
    many = s3.fit_batch(keys, images, config, hyper=hyper)
    for n, rate in enumerate((0.05, 0.1, 0.3)):
        one = s3.fit(keys[n], images[n], config.replace(fit={"learning_rate": rate}))
        assert one.steps == many.steps[n]
        np.testing.assert_array_equal(one.labels, many.labels[n])
        np.testing.assert_allclose(one.logits, many.logits[n], atol=1e-9)


@pytest.mark.slow
def test_one_program_for_all_images_and_weights(picture):
    compiled: Any = sys.modules["s3net_jax.fitting.fit"]._fit
    compiled.clear_cache()
    for weight in (1.0, 3.0):
        s3.fit(KEY, picture, make_config("sgscn", method={"weight_continuity": weight}))
    assert compiled._cache_size() == 1
    changes = {"superpixels": 30, "compactness": 10.0}
    for image in (picture, picture[::-1]):  # another number of superpixels
        s3.fit(KEY, image, make_config("slic-backprop", method=changes))
    assert compiled._cache_size() == 2


@pytest.mark.slow
def test_segment(picture):
    for name in NAMES:
        config = make_config(name, fit={"steps": 3})
        result = s3.segment(picture, config=config)
        assert result.mask.shape == picture.shape[:2]


@pytest.mark.slow
def test_bfloat16_stays_near_float32(picture):
    for name in NAMES:
        config = make_config(name, fit={"steps": 1})
        single = s3.fit(KEY, picture, config)
        half = s3.fit(KEY, picture, config.replace(model={"dtype": "bfloat16"}))
        assert half.logits.dtype == jnp.float32
        np.testing.assert_allclose(half.history["loss"], single.history["loss"], rtol=0.05)


@pytest.mark.slow
def test_grey_images_are_fitted(picture):
    result = s3.fit(KEY, picture[..., :1], make_config("dfc", fit={"steps": 2}))
    assert result.labels.shape == picture.shape[:2]
    method = {"superpixels": 20, "compactness": 0.1}
    s3.fit(KEY, picture[..., :1], make_config("slic-backprop", fit={"steps": 2}, method=method))


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("sgscn", {"method": {"center": "soft"}}, "Did you mean softmax"),
        ("sgscn", {"method": {"weight_center": 2}}, "method.weight_center=2.0 has no effect"),
        ("dfc", {"method": {"center": "softmax"}}, "no field 'method.center'"),
        ("dfc", {"model": {"deform": "free"}}, "has no effect on the method dfc"),
        ("slic-backprop", {"method": {"superpixels": 0}}, "superpixels must be at least 1, got 0"),
        ("slic-backprop", {"method": {"compactness": 0}}, "compactness must be positive, got 0.0"),
    ],
)
def test_mistakes_in_the_configuration_are_named(name, changes, message):
    with pytest.raises(s3.ConfigError, match=message):
        make_config(name, **changes)


def test_small_images_are_refused():
    with pytest.raises(ValueError, match="at least 8×8 pixels, got 8×1"):
        s3.fit(KEY, np.zeros((8, 1, 3), np.float32), make_config("sgscn"))
