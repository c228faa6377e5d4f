"""IIC as a method: its steps, its configuration, and fits of single images."""

from __future__ import annotations

import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import s3net_jax as s3
from s3net_jax.config import IICConfig
from s3net_jax.fitting import (
    StepInputs,
    hyperparameters,
    initial_params,
    make_graph,
    make_optimizer,
    static_config,
    train_step,
)
from s3net_jax.methods import get_method
from s3net_jax.methods.iic.loss import information_loss
from s3net_jax.methods.iic.views import align, draw_views

SMALL = s3.preset("iic-image").replace(
    input={"size": 24},
    fit={"steps": 4, "learning_rate": 1e-2},
    method={"width": 2, "overclusters": 6, "crops": 2, "crop_side": 0.75, "displacement": 2},
)
KEY = jax.random.key(2)
DOUBLE = SMALL.replace(model={"dtype": "float64"})


def make_inputs(picture: np.ndarray, config: s3.Config) -> StepInputs:
    images = jnp.asarray(picture[None], config.model.dtype)
    return StepInputs(images, hyperparameters(config), key=jax.random.key(7))


@pytest.mark.usefixtures("x64")
def test_a_step_updates_with_head_a_and_then_with_head_b(picture):
    inputs = make_inputs(picture, DOUBLE)
    assert inputs.key is not None
    key_step, shape = inputs.key, picture.shape
    graph, params = make_graph(DOUBLE, shape), initial_params(KEY, DOUBLE, shape)
    optimizer, settings = optax.adam(1e-2), DOUBLE.method
    assert isinstance(settings, IICConfig)
    state = optimizer.init(params)

    def compute_loss(params, head, weight):
        key = jax.random.fold_in(key_step, "ab".index(head))
        views = draw_views(key, inputs.images, settings)
        net: Any = nnx.merge(graph, params)
        second = align(net(views.second, head), views)[0]
        return information_loss(net(views.first, head), second, 2, weight)

    compute = jax.jit(jax.value_and_grad(compute_loss), static_argnames="head")
    expected, losses = params, {}
    for head, weight in (("a", 1.0), ("b", 1.5)):
        losses[head], gradient = compute(expected, head, weight)
        change, state = optimizer.update(gradient, state)
        expected = optax.apply_updates(expected, change)
    first = make_optimizer(inputs.hyper, DOUBLE).init(params)
    step = jax.jit(train_step, static_argnames=("graph", "config"))
    found, _, record, labels = step(graph, params, first, inputs, DOUBLE)
    np.testing.assert_allclose(record["head_a"], losses["a"], rtol=1e-10)
    np.testing.assert_allclose(record["head_b"], losses["b"], rtol=1e-7)
    np.testing.assert_allclose(record["loss"], losses["a"] + losses["b"], rtol=1e-7)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-8), found, expected
    )
    net: Any = nnx.merge(graph, params)
    np.testing.assert_array_equal(labels, jnp.argmax(net(inputs.images), -1))
    assert record["labels"] == len(np.unique(labels))


def test_the_objective_is_the_sum_of_both_heads(picture):
    inputs = make_inputs(picture, SMALL)
    graph = make_graph(SMALL, picture.shape)
    params = initial_params(KEY, SMALL, picture.shape)

    def compute(params):
        return get_method("iic").objective(nnx.merge(graph, params), inputs, SMALL)

    found = jax.jit(compute)(params)
    assert set(found.terms) == set(get_method("iic").terms)
    np.testing.assert_allclose(found.loss, found.terms["head_a"] + found.terms["head_b"])
    assert found.logits.shape == (1, 24, 20, 3)
    np.testing.assert_allclose(jnp.exp(found.logits).sum(-1), 1, rtol=1e-5)


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """Three images (24, 20, 3): discs of different sizes on grounds with texture."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:24, :20]
    images = []
    for radius in (4, 6, 8):
        disc = (y - 11) ** 2 + (x - 10) ** 2 < radius**2
        base = np.where(disc[..., None], (0.35, 0.2, 0.15), (0.8, 0.65, 0.6))
        images.append(np.clip(base + random.normal(0, 0.05, base.shape), 0, 1))
    return np.asarray(images, np.float32)


def test_a_fit_is_reproducible_and_compiles_once(pictures):
    compiled: Any = sys.modules["s3net_jax.fitting.fit"]._fit
    compiled.clear_cache()
    config = SMALL.replace(fit={"steps": 20})
    result = s3.fit(KEY, pictures[1], config)
    assert set(result.history) == {"loss", "head_a", "head_b", "labels"}
    assert result.labels.shape == (24, 20) and result.logits.shape == (24, 20, 3)
    assert np.all(np.isfinite(result.logits)) and np.all(np.isfinite(result.history["loss"]))
    assert np.mean(result.history["loss"][-5:]) < np.mean(result.history["loss"][:5])
    counts = np.asarray(result.history["labels"])
    assert counts.min() >= 1 and counts.max() <= 3
    again = s3.fit(KEY, pictures[1], config)
    jax.tree.map(np.testing.assert_array_equal, result, again)
    other = config.replace(method={"lambda_b": 1}, fit={"learning_rate": 1e-3, "momentum": 0.8})
    assert static_config(other) == static_config(config)
    assert not np.array_equal(s3.fit(KEY, pictures[1], other).logits, result.logits)
    assert compiled._cache_size() == 1


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
def test_fits_of_a_batch_are_single_fits(pictures):
    keys = jax.random.split(KEY, 2)
    hyper = s3.grid(DOUBLE, lambda_b=(1.0, 1.5))
    both = s3.fit_batch(keys, pictures[:2].astype(float), DOUBLE, hyper=hyper)
    for n, weight in enumerate((1.0, 1.5)):
        config = DOUBLE.replace(method={"lambda_b": weight})
        one = s3.fit(keys[n], pictures[n].astype(float), config)
        np.testing.assert_allclose(both.history["loss"][n], one.history["loss"], rtol=1e-6)
        np.testing.assert_allclose(both.logits[n], one.logits, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [{"rotation": 20.0, "scale": 0.1}, {"collapsed": True, "flip": False}]
)
def test_variants_stay_finite(pictures, options):
    result = s3.fit(KEY, pictures[0], SMALL.replace(method=options))
    assert np.all(np.isfinite(result.logits)) and np.all(np.isfinite(result.history["loss"]))


def test_images_that_are_too_small_are_refused(pictures):
    with pytest.raises(ValueError, match=r"crops of at least 10×10 pixels, got 12×9 of an image"):
        s3.fit(KEY, pictures[0][:, :18], SMALL.replace(method={"crop_side": 0.5}))
    with pytest.raises(ValueError, match=r"displacement=15 needs crops of at least 16×16 pixels"):
        s3.fit(KEY, pictures[0], SMALL.replace(method={"displacement": 15}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": {"width": 0}}, r"method\.width must be in 1\.\.1024, got 0\."),
        ({"method": {"overclusters": 1}}, r"method\.overclusters must be in 2"),
        ({"method": {"hue": 0.6}}, r"method\.hue must be in 0\.\.0\.5, got 0\.6\."),
        ({"method": {"crop_side": 0}}, r"method\.crop_side must be in \(0, 1\], got 0\.0\."),
        ({"model": {"blocks": 3}}, r"model\.blocks=3 has no effect on the method iic"),
        ({"loss": {"weight_ce": 3}}, r"loss\.weight_ce=3\.0 has no effect on the method iic"),
        ({"model": {"color": "pixels"}}, r"model\.color=pixels has no effect on the method iic"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(s3.ConfigError, match=message):
        SMALL.replace(**changes)


def test_presets():
    for name in ("iic", "iic-image"):
        config = s3.preset(name)
        assert config.preset == name and config.method.name == "iic"
        assert s3.Config().replace(**config.to_dict()) == config
