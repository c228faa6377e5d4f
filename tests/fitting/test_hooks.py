"""What a caller adds to a fit: optimisers, records, terms that see everything, steps in parts."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import s3net_jax as s3
from s3net_jax.fitting import Context, Hyper, compute_state_logits, init, run_steps

KEY = jax.random.key(0)
CONFIG = s3.preset("paper").replace(model={"channels": 4, "blocks": 1}, fit={"steps": 6})
IMAGE = np.random.default_rng(0).random((12, 12, 3)).astype(np.float32)


def assert_same(a: Any, b: Any, rtol: float = 1e-7, atol: float = 0) -> None:
    for one, other in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(one, other, rtol, atol)


@pytest.mark.slow
def test_the_methods_optimiser_can_be_given() -> None:
    default = s3.fit(KEY, IMAGE, CONFIG)
    given = s3.fit(KEY, IMAGE, CONFIG, optimizer=optax.sgd(0.36, 0.9))
    assert_same(default.params, given.params, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_any_optimiser_with_schedule_and_clipping() -> None:
    schedule = optax.cosine_decay_schedule(0.1, 6)
    chain = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule))
    result = s3.fit(KEY, IMAGE, CONFIG, optimizer=chain)
    assert np.isfinite(result.history["loss"]).all()
    batch = s3.fit_batch(jnp.stack([KEY, KEY]), IMAGE, CONFIG, optimizer=chain)
    np.testing.assert_allclose(batch.logits[1], result.logits, atol=1e-3)


@pytest.mark.slow
def test_a_function_of_hyper_keeps_the_rate_dynamic() -> None:
    def make(hyper: Hyper) -> optax.GradientTransformation:
        return optax.adam(hyper.learning_rate)  # pyright: ignore[reportArgumentType]

    hyper = s3.grid(CONFIG, learning_rate=(0, 0.01))
    still, moved = s3.fit_batch(
        jnp.stack([KEY, KEY]), IMAGE, CONFIG, hyper=hyper, optimizer=make
    ).history["loss"]
    # Without updates only the random transforms change the loss.
    assert np.ptp(still) < np.ptp(moved)


@pytest.mark.slow
def test_records_join_the_history() -> None:
    def record(context: Context) -> dict[str, Any]:
        assert context.features is not None and context.auxiliary is not None
        return {
            "logits": context.logits,
            "step": context.step,
            "norm": sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(context.params)),
            "feature": context.features.mean(),
        }

    result = s3.fit(KEY, IMAGE, CONFIG, record=record)
    assert result.history["logits"].shape == (6, 12, 12, 4)
    np.testing.assert_array_equal(result.history["step"], np.arange(6))
    assert_same(s3.fit(KEY, IMAGE, CONFIG).logits, result.logits, atol=1e-4)
    batch = s3.fit_batch(jnp.stack([KEY, KEY]), IMAGE, CONFIG, record=record)
    assert batch.history["logits"].shape == (2, 6, 12, 12, 4)
    np.testing.assert_allclose(batch.history["norm"][0], result.history["norm"], rtol=1e-4)


@pytest.mark.slow
def test_records_of_steps_after_an_early_stop_are_blank() -> None:
    config = CONFIG.replace(fit={"stop_labels": 4, "stop_after": 2})
    result = s3.fit(KEY, IMAGE, config, record=lambda c: {"mean": c.logits.mean(), "at": c.step})
    assert int(result.steps) == 2
    np.testing.assert_array_equal(np.isnan(result.history["mean"]), [False] * 2 + [True] * 4)
    np.testing.assert_array_equal(result.history["at"], [0, 1, 0, 0, 0, 0])


@pytest.mark.slow
def test_a_term_may_see_the_whole_forward_pass() -> None:
    def term(logits: Any, labels: Any, image: Any, *, context: Context) -> jax.Array:
        assert context.features is not None
        np.testing.assert_array_equal(image.shape, context.image.shape)
        return jnp.mean(context.features**2) * (context.step == 1)

    result = s3.fit(KEY, IMAGE, CONFIG, extra_loss=term)
    extra = np.asarray(result.history["extra"])
    assert extra[1] > 0 and not extra[[0, 2, 3, 4, 5]].any()


@pytest.mark.slow
@pytest.mark.parametrize(
    "optimizer",
    [None, optax.adam(1e-2)],
    ids=["sgd", "adam"],
)
def test_three_steps_and_three_more_are_six(optimizer: Any) -> None:
    whole = s3.fit(KEY, IMAGE, CONFIG, optimizer=optimizer)
    state = init(KEY, IMAGE, CONFIG, optimizer=optimizer)
    state, first = run_steps(state, CONFIG, 3, optimizer=optimizer)
    # A state that was written and read again continues the same fit.
    leaves, structure = jax.tree.flatten(state)
    kept = [np.asarray(x) if x.dtype != KEY.dtype else x for x in leaves]
    state, second = run_steps(jax.tree.unflatten(structure, kept), CONFIG, 3, optimizer=optimizer)
    for name, values in whole.history.items():
        both = np.concatenate([first.history[name], second.history[name]])
        np.testing.assert_allclose(both, values, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(compute_state_logits(state, CONFIG), whole.logits, atol=1e-4)


@pytest.mark.slow
def test_images_with_any_number_of_channels() -> None:
    for channels in (1, 5):
        image = np.random.default_rng(1).random((12, 12, channels)).astype(np.float32)
        result = s3.fit(KEY, image, CONFIG.replace(model={"color": "pixels"}))
        assert np.isfinite(result.logits).all()


@pytest.mark.slow
def test_batches_take_parameters_and_transforms() -> None:
    start = s3.fitting.initial_params(jax.random.key(5), CONFIG, IMAGE.shape)
    moves = np.tile(np.eye(2, 3, dtype=np.float32), (6, 1, 1))
    one = s3.fit(KEY, IMAGE, CONFIG, params=start, transforms=moves)
    keys = jnp.stack([KEY, jax.random.key(9)])
    both = s3.fit_batch(keys, IMAGE, CONFIG, params=start, transforms=moves)
    np.testing.assert_allclose(both.logits[0], one.logits, atol=1e-4)
    each = jax.tree.map(lambda a: jnp.stack([a, a]), start)
    moved = np.stack([moves, moves])
    again = s3.fit_batch(keys, IMAGE, CONFIG, params=each, transforms=moved)
    np.testing.assert_allclose(again.logits, both.logits, atol=1e-5)


def test_mistakes_are_named() -> None:
    with pytest.raises(TypeError, match="optimizer is a float; give an optax"):
        s3.fit(KEY, IMAGE, CONFIG, optimizer=0.1)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="record is a str"):
        s3.fit(KEY, IMAGE, CONFIG, record="loss")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="record can't use the name 'ce'"):
        s3.fit(KEY, IMAGE, CONFIG, record=lambda c: {"ce": c.logits})
    with pytest.raises(TypeError, match="record returned a tuple"):
        s3.fit(KEY, IMAGE, CONFIG, record=lambda c: (c.logits,))  # pyright: ignore
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        run_steps(init(KEY, IMAGE, CONFIG), CONFIG, 0)
    with pytest.raises(TypeError, match="state is a NoneType"):
        run_steps(None, CONFIG, 1)  # pyright: ignore[reportArgumentType]
