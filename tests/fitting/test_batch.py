"""Test that a batch of fits equals separate fits, including early stops."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

import s3net_jax as s3
from s3net_jax.fitting import fit, fit_batch, grid
from s3net_jax.fitting.batch import _plan_chunks, list_batch_sizes

pytestmark = pytest.mark.usefixtures("x64")


def config(preset: str = "paper", **fit):
    return s3.preset(preset).replace(
        model={"channels": 8, "blocks": 1, "dtype": "float64"}, fit={"steps": 8, **fit}
    )


@pytest.fixture(scope="module")
def images():
    random = np.random.default_rng(0)
    coarse = random.random((5, 4, 4, 3))
    return np.kron(coarse, np.ones((1, 4, 4, 1))) * 0.8 + 0.1 * random.random((5, 16, 16, 3))


def keys(count: int):
    return jax.random.split(jax.random.key(3), count)


def assert_same(batch, singles):
    for n, single in enumerate(singles):
        np.testing.assert_array_equal(batch.steps[n], single.steps)
        np.testing.assert_array_equal(batch.labels[n], single.labels)
        np.testing.assert_allclose(batch.logits[n], single.logits, atol=1e-9)
        for name, values in single.history.items():
            np.testing.assert_allclose(batch.history[name][n], values, rtol=1e-9)
        if single.label_maps is not None:
            np.testing.assert_array_equal(batch.label_maps[n], single.label_maps)
        jax.tree.map(
            lambda a, b, n=n: np.testing.assert_allclose(a[n], b, atol=1e-9),
            batch.params,
            single.params,
        )


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["paper", "released"])
def test_images_of_their_own(images, preset):
    chosen = config(preset, stop_labels=0, record_labels=True)
    batch = fit_batch(keys(5), images, chosen)
    singles = [fit(k, jnp.asarray(i), chosen) for k, i in zip(keys(5), images, strict=True)]
    assert_same(batch, singles)


@pytest.mark.slow
@pytest.mark.parametrize("inception", ["local", "dilated"])
def test_both_orders_of_the_inception(images, inception):
    chosen = config(stop_labels=0, steps=2).replace(model={"inception": inception, "channels": 4})
    batch = fit_batch(keys(2), images[:2], chosen)
    singles = [fit(k, jnp.asarray(i), chosen) for k, i in zip(keys(2), images[:2], strict=True)]
    assert_same(batch, singles)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", [1, 3, 20])
def test_early_stops_at_different_steps(images, chunk):
    chosen = config("released", stop_labels=5, stop_after=2, record_labels=True, steps=10)
    batch = fit_batch(keys(5), images, chosen, chunk=chunk)
    singles = [fit(k, jnp.asarray(i), chosen) for k, i in zip(keys(5), images, strict=True)]
    assert len({int(s.steps) for s in singles}) > 1
    assert_same(batch, singles)


@pytest.mark.slow
def test_seeds_of_one_image(images):
    chosen = config(stop_labels=0)
    batch = fit_batch(keys(3), images[0], chosen)
    assert_same(batch, [fit(k, jnp.asarray(images[0]), chosen) for k in keys(3)])


@pytest.mark.slow
def test_a_grid_of_settings_is_one_program(images):
    chosen = config(stop_labels=0, steps=3)
    hyper = grid(chosen, weight_ce=(1, 2), learning_rate=(0.1, 0.2, 0.3))
    np.testing.assert_allclose(hyper.weight_ce, [1, 1, 1, 2, 2, 2])
    np.testing.assert_allclose(hyper.learning_rate, [0.1, 0.2, 0.3] * 2)
    np.testing.assert_allclose(hyper.momentum, 0.9)
    weights, rates = np.asarray(hyper.weight_ce), np.asarray(hyper.learning_rate)
    same = jnp.stack([jax.random.key(1)] * 6)
    batch = fit_batch(same, images[0], chosen, hyper=hyper)
    for n in range(6):
        changed = chosen.replace(
            loss={"weight_ce": float(weights[n])},
            fit={"learning_rate": float(rates[n])},
        )
        single = fit(same[0], jnp.asarray(images[0]), changed)
        np.testing.assert_allclose(batch.logits[n], single.logits, atol=1e-9)


def test_chunks_make_up_all_steps():
    assert _plan_chunks(50, 4, 6) == [6, *[4] * 11]
    assert _plan_chunks(10, 3, 2) == [2, 3, 3, 2]
    assert _plan_chunks(4, 3, 6) == [4]
    assert _plan_chunks(5, 1, 0) == [1, 1, 1, 1, 1]


def test_sizes_shrink_to_one():
    assert list_batch_sizes(1) == [1]
    assert list_batch_sizes(64) == [64, 42, 28, 18, 12, 8, 5, 3, 2, 1]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"keys": jax.random.split(jax.random.key(0), 2)}, "2 keys and 5 images"),
        ({"images": np.ones((5, 16, 16))}, "at least 8×8 pixels, got 5×16"),
        ({"chunk": 0}, "chunk must be at least 1, got 0"),
        (
            {"hyper": s3.Hyper(1, 1, 1, jnp.ones(4), 0.9)},
            r"hyper.learning_rate has the shape \(4,\)",
        ),
        ({"keys": jax.random.key(0)}, r"at least one key, got keys of shape \(\)"),
    ],
)
def test_mistakes(images, given, message):
    arguments = {"keys": keys(5), "images": images, "config": config(), **given}
    with pytest.raises(ValueError, match=message):
        fit_batch(**arguments)


def test_mistakes_in_a_grid():
    with pytest.raises(ValueError, match="no number 'weight'"):
        grid(config(), weight=(1, 2))
    with pytest.raises(ValueError, match="momentum has no values"):
        grid(config(), momentum=())


def toward(marks, logits, labels, image):
    """Compute a scribble loss: (H, W) marks are class numbers, or −1 for unmarked pixels."""
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), jnp.maximum(marks, 0)[..., None], -1)
    return -jnp.sum(jnp.where(marks >= 0, chosen[..., 0], 0))


@pytest.mark.slow
def test_extra_losses_with_arrays_of_their_own(images):
    chosen = config("released", stop_labels=5, stop_after=2, steps=6)
    random = np.random.default_rng(1)
    marks = jnp.asarray(random.integers(-1, 3, (5, 16, 16)))
    batch = fit_batch(keys(5), images, chosen, extra_loss=Partial(toward, marks))
    # No array of the caller was donated.
    assert not marks.is_deleted()
    singles = [
        fit(k, jnp.asarray(i), chosen, extra_loss=Partial(toward, m))
        for k, i, m in zip(keys(5), images, marks, strict=True)
    ]
    assert set(batch.history) == {"loss", "ce", "affine", "spatial", "extra", "labels"}
    assert_same(batch, singles)


def test_an_extra_loss_binds_an_array_for_each_fit(images):
    with pytest.raises(ValueError, match=r"the shape \(16, 16\).*of the 5 fits"):
        marks = jnp.zeros((16, 16), int)
        fit_batch(keys(5), images, config(), extra_loss=Partial(toward, marks))


@pytest.mark.slow
def test_float32_in_a_program_of_64_bits(images):
    """Dynamic numbers must not widen the values they multiply."""
    chosen = config(steps=2).replace(model={"dtype": "float32"})
    hyper = grid(chosen, weight_ce=(1.0, 1.2))
    assert jnp.asarray(hyper.weight_ce).dtype == np.float64
    assert fit_batch(keys(2), images[:2], chosen).logits.dtype == np.float32
    mapped = jax.vmap(
        lambda numbers: fit(keys(1)[0], jnp.asarray(images[0]), chosen, hyper=numbers)
    )
    assert mapped(hyper).logits.dtype == np.float32


def test_float64_is_not_float32_in_disguise(images):
    with jax.enable_x64(False), pytest.raises(s3.config.ConfigError, match="JAX_ENABLE_X64=1"):
        fit_batch(keys(2), images[:2], config(steps=2))
