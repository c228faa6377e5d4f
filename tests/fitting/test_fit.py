"""Test purity, early stop and history of a fit, and JAX's transformations of it."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

import s3net_jax as s3
from s3net_jax.config import Config
from s3net_jax.fitting import (
    StepInputs,
    fit,
    hyperparameters,
    initial_params,
    objective,
    static_config,
)
from s3net_jax.ops import affine_matrix

KEY = jax.random.key(3)


def make_small_config(preset: str = "paper", **changes) -> Config:
    config = s3.preset(preset).replace(model={"channels": 8, "blocks": 1}, fit={"steps": 6})
    return config.replace(**changes)


@pytest.fixture(scope="module")
def image() -> jax.Array:
    return jax.random.uniform(jax.random.key(0), (12, 12, 3))


@pytest.mark.slow
def test_same_seed_same_bits_and_other_seed_other_result(image):
    config = make_small_config()
    first, second, other = (fit(k, image, config) for k in (KEY, KEY, jax.random.key(4)))
    jax.tree.map(np.testing.assert_array_equal, first, second)
    assert np.any(first.logits != other.logits)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["paper", "paper-lung", "released"])
def test_result(image, preset):
    result = fit(KEY, image, make_small_config(preset))
    assert result.labels.shape == (12, 12)
    assert result.labels.dtype == jnp.int32
    assert result.logits.shape == (12, 12, 8)
    assert int(result.steps) == 6
    assert result.label_maps is None
    assert set(result.history) == {"loss", "ce", "affine", "spatial", "labels"}
    weights = make_small_config(preset).loss
    total = (
        weights.weight_ce * result.history["ce"]
        + weights.weight_affine * result.history["affine"]
        + weights.weight_spatial * result.history["spatial"]
    )
    np.testing.assert_allclose(result.history["loss"], total, rtol=1e-5)
    np.testing.assert_array_equal(result.labels, np.argmax(result.logits, -1))


@pytest.mark.slow
def test_recorded_labels_are_those_counted(image):
    result = fit(KEY, image, make_small_config(fit={"steps": 4, "record_labels": True}))
    assert result.label_maps is not None
    counts = [len(np.unique(m)) for m in result.label_maps]
    np.testing.assert_array_equal(result.history["labels"], counts)


@pytest.mark.slow
def test_early_stop_is_the_result_of_as_many_steps(image):
    stopping = make_small_config(fit={"steps": 9, "stop_labels": 8, "stop_after": 4})
    stopped = fit(KEY, image, stopping)
    assert int(stopped.steps) == 4
    assert np.all(np.isnan(stopped.history["loss"][4:]))
    assert np.all(stopped.history["labels"][4:] == 0)
    short = fit(KEY, image, make_small_config(fit={"steps": 4}))
    np.testing.assert_allclose(stopped.logits, short.logits, atol=1e-4)


@pytest.mark.slow
def test_no_stop_before_its_time_and_none_without_being_asked(image):
    assert (
        int(fit(KEY, image, make_small_config(fit={"stop_labels": 8, "stop_after": 7})).steps) == 6
    )
    assert (
        int(fit(KEY, image, make_small_config(fit={"stop_labels": 0, "stop_after": 1})).steps) == 6
    )


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
def test_vmapped_fits_are_single_fits(image):
    """One program runs fits with other images, seeds and settings, which stop at other steps."""
    config = make_small_config(
        "released", model={"dtype": "float64"}, fit={"stop_after": 2, "stop_labels": 5}
    )
    keys = jax.random.split(KEY, 4)
    images = jnp.stack([image, image[::-1], image**2, image * 0.5]).astype(float)
    weights = [0.5, 1.0, 2.0, 4.0]
    hypers = [
        hyperparameters(config.replace(loss={"weight_ce": w}, fit={"learning_rate": w / 4}))
        for w in weights
    ]
    stacked = jax.tree.map(lambda *x: jnp.stack([jnp.asarray(v) for v in x]), *hypers)
    many = jax.jit(jax.vmap(lambda k, i, h: fit(k, i, config, hyper=h)))(keys, images, stacked)
    singles = [fit(k, i, config, hyper=h) for k, i, h in zip(keys, images, hypers, strict=True)]
    expected = jax.tree.map(lambda *x: np.stack(x), *singles)
    np.testing.assert_array_equal(many.steps, expected.steps)
    np.testing.assert_array_equal(many.labels, expected.labels)
    np.testing.assert_allclose(many.logits, expected.logits, atol=1e-9)


@pytest.mark.slow
def test_dynamic_numbers_do_not_recompile(image):
    compiled: Any = sys.modules["s3net_jax.fitting.fit"]._fit

    fit(KEY, image, make_small_config(fit={"steps": 2}))
    before = compiled._cache_size()
    fit(
        KEY,
        image,
        make_small_config(fit={"steps": 2, "learning_rate": 0.1}, loss={"weight_spatial": 0.0}),
    )
    assert compiled._cache_size() == before


@pytest.mark.usefixtures("x64")
@pytest.mark.slow
@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_the_whole_fit_can_be_differentiated(image, mode):
    # All implementations except the reference define custom gradients, for reverse mode only.
    implementation = {"reverse": "auto", "forward": "reference"}[mode]
    changes = {"channels": 4, "blocks": 1, "implementation": implementation, "dtype": "float64"}
    config = make_small_config("released", model=changes).replace(fit={"steps": 2})

    def sharpness(learning_rate):
        hyper = hyperparameters(config.replace())
        hyper = type(hyper)(**{**vars(hyper), "learning_rate": learning_rate})
        return jnp.mean(fit(KEY, image, config, hyper=hyper).logits ** 4)

    def add_tangent(learning_rate):
        return jax.jvp(sharpness, (learning_rate,), (1.0,))

    # One program for the value and the derivative.
    both = jax.jit(jax.value_and_grad(sharpness) if mode == "reverse" else add_tangent)
    (above, _), (_, derivative), (below, _) = (both(0.1 + step) for step in (1e-6, 0.0, -1e-6))
    expected = (above - below) / 2e-6
    np.testing.assert_allclose(derivative, expected, rtol=1e-4)


@pytest.mark.slow
def test_progress_reports_every_step_with_the_numbers_of_the_history(image):
    seen = []
    result = fit(
        KEY, image, make_small_config(), progress=lambda step, record: seen.append((step, record))
    )
    jax.block_until_ready(result)
    jax.effects_barrier()
    assert sorted(step for step, _ in seen) == [1, 2, 3, 4, 5, 6]
    for step, record in seen:
        assert record["labels"] == result.history["labels"][step - 1]
        assert record["loss"] == pytest.approx(float(result.history["loss"][step - 1]))


@pytest.mark.slow
def test_bfloat16_activations_stay_near_float32(image):
    single = fit(KEY, image, make_small_config(fit={"steps": 1}))
    half = fit(KEY, image, make_small_config(fit={"steps": 1}, model={"dtype": "bfloat16"}))
    assert half.logits.dtype == jnp.float32
    np.testing.assert_allclose(half.history["ce"], single.history["ce"], rtol=0.05)


@pytest.mark.slow
def test_given_parameters_and_transforms_are_used(image):
    config = make_small_config(fit={"steps": 2})
    params = initial_params(jax.random.key(9), config, (12, 12, 3))
    transforms = jnp.tile(jnp.eye(2, 3), (2, 1, 1))
    first = fit(KEY, image, config, params=params, transforms=transforms)
    second = fit(jax.random.key(5), image, config, params=params, transforms=transforms)
    np.testing.assert_array_equal(first.logits, second.logits)
    with pytest.raises(ValueError, match="must be"):
        fit(KEY, image, config, transforms=transforms[:1])
    with pytest.raises(ValueError, match="starting parameter"):
        fit(KEY, image, config.replace(model={"channels": 4}), params=params)


@pytest.mark.parametrize("shape", [(12, 12), (12, 12, 0), (4, 16, 3)])
def test_wrong_images_are_refused(shape):
    with pytest.raises(ValueError, match="fit takes"):
        fit(KEY, jnp.zeros(shape), make_small_config())


@pytest.mark.usefixtures("x64")
class TestAffineTerm:
    """Test that the affine term of a preset depends on its transform."""

    def compute_loss_and_gradient(self, image, preset, angle):
        from flax import nnx

        from s3net_jax.nn import S3Net

        config = static_config(make_small_config(preset, model={"channels": 8, "blocks": 2}))
        config = config.replace(model={"dtype": "float64"})
        net = S3Net(config.model, (12, 12), rngs=nnx.Rngs(params=0))
        graph, params = nnx.split(net, nnx.Param)
        matrix = affine_matrix(*(jnp.asarray(v, float) for v in (angle, (0.0, 0.0), 1.0, 0.0)))
        affine = config.loss.affine.__class__(
            rotation=(angle, angle),
            translation=(0, 0),
            scale=(1, 1),
            shear=(0, 0),
            apply_at=config.loss.affine.apply_at,
        )
        loss = config.loss.__class__(spatial=config.loss.spatial, affine=affine)
        config = dataclasses.replace(config, loss=loss)
        weights = hyperparameters(config.replace(loss={"weight_ce": 0, "weight_spatial": 0}))
        inputs = StepInputs(image.astype(float)[None], weights, matrix, jnp.linspace(0, 1, 8))

        def term(params):
            net = nnx.merge(graph, params)
            return objective(net, inputs, config).loss

        value, gradient = jax.value_and_grad(term)(params)
        return float(value), to_numpy(gradient)

    @pytest.mark.slow
    def test_of_paper_changes_with_the_transform_in_value_and_gradient(self, image):
        still, gradient_still = self.compute_loss_and_gradient(image, "paper", 0.0)
        turned, gradient_turned = self.compute_loss_and_gradient(image, "paper", 90.0)
        # Before any training the two paths agree by chance only, whatever the transform: the
        # value changes little, the gradient by 3 % (10 % in the released order of the inception
        # block). Rounding is at 1e-15.
        assert abs(turned - still) > 1e-5 * still
        difference = np.linalg.norm(gradient_turned - gradient_still)
        assert difference > 0.01 * np.linalg.norm(gradient_still)

    @pytest.mark.slow
    def test_of_released_does_not_change_at_all(self, image):
        still, gradient_still = self.compute_loss_and_gradient(image, "released", 0.0)
        turned, gradient_turned = self.compute_loss_and_gradient(image, "released", 90.0)
        np.testing.assert_allclose(turned, still, rtol=1e-12)
        np.testing.assert_allclose(gradient_turned, gradient_still, atol=1e-12)


def to_numpy(tree) -> np.ndarray:
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


@pytest.mark.slow
def test_products_of_bfloat16(image):
    """The setting reaches the kernels: values round differently, the first loss is nearly equal."""
    from s3net_kernels import _native

    config = make_small_config(model={"channels": 16}, fit={"steps": 2})
    plain = fit(KEY, image, config)
    low = fit(KEY, image, config.replace(model={"precision": "bfloat16"}))
    np.testing.assert_allclose(low.history["loss"][0], plain.history["loss"][0], rtol=0.02)
    same = np.array_equal(low.logits, plain.logits)
    assert same != _native.multiplies_bfloat16()


def penalise_dark(where, logits, labels, image):
    """Compute the cross entropy of class 0 where the image is darker than ``where``."""
    return -jnp.mean(jax.nn.log_softmax(logits)[..., 0] * (image.mean(-1) < where))


class TestExtraLoss:
    def test_is_added_with_its_gradient(self, image):
        given = penalise_dark
        config = make_small_config()
        plain = fit(KEY, image, config)
        zero = fit(KEY, image, config, extra_loss=lambda *_: jnp.zeros(()))
        result = fit(KEY, image, config, extra_loss=Partial(given, 0.5))
        jax.tree.map(np.testing.assert_array_equal, zero.params, plain.params)
        assert set(result.history) == {*plain.history, "extra"}
        np.testing.assert_allclose(
            result.history["loss"][0], plain.history["loss"][0] + result.history["extra"][0], 1e-5
        )
        # Its gradient acts: the term falls more than without.
        without = given(0.5, plain.logits, plain.labels, image)
        assert given(0.5, result.logits, result.labels, image) < without - 0.1

    @pytest.mark.slow
    def test_bound_arrays_can_change_and_be_mapped_without_recompiling(self, image):
        compiled: Any = sys.modules["s3net_jax.fitting.fit"]._fit
        config = make_small_config(fit={"steps": 2})
        bounds = jnp.array([0.2, 0.8])
        singles = [fit(KEY, image, config, extra_loss=Partial(penalise_dark, b)) for b in bounds]
        before = compiled._cache_size()
        fit(KEY, image, config, extra_loss=Partial(penalise_dark, bounds[0] + 0.1))
        assert compiled._cache_size() == before
        many = jax.vmap(lambda b: fit(KEY, image, config, extra_loss=Partial(penalise_dark, b)))
        np.testing.assert_allclose(
            many(bounds).history["extra"], [s.history["extra"] for s in singles], rtol=1e-4
        )

    @pytest.mark.parametrize(
        ("term", "error", "says"),
        [
            (lambda logits, labels, image: logits, ValueError, r"one number.* shape \(12, 12, 8\)"),
            (0.5, TypeError, "extra_loss is a float; give a function"),
        ],
    )
    def test_mistakes(self, image, term, error, says):
        with pytest.raises(error, match=says):
            fit(KEY, image, make_small_config(), extra_loss=term)
