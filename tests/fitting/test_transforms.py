"""Transforms other than random affine ones: matrices, coordinates, and functions that draw them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.tree_util import Partial

import s3net_jax as s3
from s3net_jax import fitting
from s3net_jax.methods import StepInputs, get_method
from s3net_jax.ops import compute_coordinates, draw_affine

KEY = jax.random.key(0)
STEPS, SHAPE = 3, (12, 10)
CONFIG = s3.preset("paper").replace(model={"channels": 4, "blocks": 1}, fit={"steps": STEPS})
IMAGE = np.random.default_rng(0).random((*SHAPE, 3)).astype(np.float32)
fit: Callable[..., Any] = s3.fit
batch: Callable[..., Any] = s3.fit_batch


def draw_configured(key: jax.Array, shape: tuple[int, int]) -> jax.Array:
    """The transform that a fit draws by itself."""
    return draw_affine(key, CONFIG.loss.affine, shape)


def draw_grid(key: jax.Array, shape: tuple[int, int]) -> jax.Array:
    return compute_coordinates(draw_configured(key, shape), shape)


def draw_elastic(strength: Any, key: jax.Array, shape: tuple[int, int]) -> jax.Array:
    coarse = strength * jax.random.normal(key, (4, 4, 2))
    return compute_coordinates(jnp.eye(2, 3), shape) + jax.image.resize(
        coarse, (*shape, 2), "cubic"
    )


def assert_near(one: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-5) -> None:
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol, atol)


def place_config(place: str) -> s3.Config:
    return CONFIG.replace(loss={"affine": {"apply_at": place}})


@pytest.mark.slow
@pytest.mark.parametrize("place", ["features", "input", "logits"])
def test_a_function_may_draw_what_is_drawn_anyway(place: str) -> None:
    config = place_config(place)
    default = fit(KEY, IMAGE, config)
    np.testing.assert_array_equal(
        fit(KEY, IMAGE, config, transforms=draw_configured).logits, default.logits
    )
    # Coordinates of the same matrices; their rounding may differ in the last place.
    grid = fit(KEY, IMAGE, config, transforms=draw_grid)
    assert_near(grid.history, default.history)
    assert_near(grid.logits, default.logits, atol=1e-3)


@pytest.mark.slow
def test_given_coordinates_are_those_of_given_matrices() -> None:
    keys = jax.random.split(jax.random.key(4), STEPS)
    matrices = jnp.stack([draw_configured(key, SHAPE) for key in keys])
    coords = jnp.stack([compute_coordinates(matrix, SHAPE) for matrix in matrices])
    assert coords.shape == (STEPS, *SHAPE, 2)
    one, other = (fit(KEY, IMAGE, CONFIG, transforms=t) for t in (matrices, coords))
    assert_near(one.history, other.history)
    assert_near(one.logits, other.logits, atol=1e-3)
    state = fitting.init(KEY, IMAGE, CONFIG, transforms=coords)
    state, first = fitting.run_steps(state, CONFIG, 2)
    state, second = fitting.run_steps(state, CONFIG, 1)
    loss = np.concatenate([first.history["loss"], second.history["loss"]])
    np.testing.assert_allclose(loss, other.history["loss"], rtol=1e-5)


@pytest.mark.slow
def test_an_objective_takes_coordinates(x64: None) -> None:
    """In float64, the whole objective and its gradient agree with those of the matrix."""
    config = CONFIG.replace(model={"dtype": "float64"})
    method = get_method("s3net")
    graph, params = nnx.split(method.build(config, (*SHAPE, 3), nnx.Rngs(0)), nnx.Param)
    matrix = draw_affine(jax.random.key(3), config.loss.affine, SHAPE, jnp.float64)
    plain = StepInputs(jnp.asarray(IMAGE[None], float), fitting.hyperparameters(config))

    def compute(params: Any, **transform: Any) -> jax.Array:
        inputs = StepInputs(plain.images, plain.hyper, **transform)
        return method.objective(nnx.merge(graph, params), inputs, config).loss

    coords = compute_coordinates(matrix, SHAPE)
    found = jax.value_and_grad(compute)(params, coordinates=coords)
    assert_near(found, jax.value_and_grad(compute)(params, matrix=matrix), 1e-9, 1e-12)
    # Differences of the loss agree with its derivative by the coordinates.
    weight = np.random.default_rng(0).normal(size=coords.shape)
    slope = jnp.sum(jax.grad(lambda c: compute(params, coordinates=c))(coords) * weight)
    high, low = (compute(params, coordinates=coords + h * weight) for h in (1e-7, -1e-7))
    np.testing.assert_allclose(slope, (high - low) / 2e-7, rtol=1e-4)
    with pytest.raises(ValueError, match="give a \\(2, 3\\) matrix, or coordinates"):
        compute(params)


@pytest.mark.slow
def test_bound_arrays_are_dynamic_and_batched() -> None:
    compiled: Any = sys.modules["s3net_jax.fitting.fit"]._fit
    compiled.clear_cache()
    still, moved = (
        fit(KEY, IMAGE, CONFIG, transforms=Partial(draw_elastic, strength))
        for strength in (0.0, 2.5)
    )
    assert compiled._cache_size() == 1
    assert np.all(np.abs(still.history["affine"] - moved.history["affine"]) > 1e-6)
    identity = np.tile(np.eye(2, 3, dtype=np.float32), (STEPS, 1, 1))
    assert_near(fit(KEY, IMAGE, CONFIG, transforms=identity).history, still.history)
    keys = jnp.stack([KEY, KEY])
    both = batch(keys, IMAGE, CONFIG, transforms=Partial(draw_elastic, jnp.asarray([0.0, 2.5])))
    for n, one in enumerate((still, moved)):
        assert_near(both.history["loss"][n], one.history["loss"])
    mapped = jax.vmap(
        lambda s: fit(KEY, IMAGE, CONFIG, transforms=Partial(draw_elastic, s)).history["loss"]
    )(jnp.asarray([0.0, 2.5]))
    assert_near(mapped, both.history["loss"])


@pytest.mark.slow
def test_batches_take_coordinates() -> None:
    coords = np.stack(
        [np.asarray(draw_elastic(2.0, key, SHAPE)) for key in jax.random.split(KEY, 3)]
    )
    keys = jax.random.split(KEY, 2)
    one = fit(keys[1], IMAGE, CONFIG, transforms=coords)
    shared = batch(keys, IMAGE, CONFIG, transforms=coords)
    each = batch(keys, IMAGE, CONFIG, transforms=np.stack([coords, coords]))
    assert_near(shared.history["loss"][1], one.history["loss"])
    np.testing.assert_array_equal(shared.logits, each.logits)
    drawn = batch(keys, IMAGE, CONFIG, transforms=draw_configured)
    assert_near(drawn.logits, batch(keys, IMAGE, CONFIG).logits, atol=1e-3)


@pytest.mark.slow
def test_a_fit_differentiates_by_coordinates() -> None:
    config = CONFIG.replace(fit={"steps": 1})

    def compute_loss(coords: jax.Array) -> jax.Array:
        return fit(KEY, IMAGE, config, transforms=coords).history["loss"][0]

    gradient = jax.grad(compute_loss)(draw_elastic(2.0, KEY, SHAPE)[None])
    assert gradient.shape == (1, *SHAPE, 2) and np.isfinite(gradient).all() and np.any(gradient)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: fit(KEY, IMAGE, CONFIG, transforms=np.zeros((3, 12, 11, 2))),
            ValueError,
            r"must be \(3, 2, 3\) or \(3, 12, 10, 2\)",
        ),
        (
            lambda: batch(KEY[None], IMAGE, CONFIG, transforms=np.zeros((2, 3, 12, 10, 2))),
            ValueError,
            "with a leading axis of 1",
        ),
        (
            lambda: fit(KEY, IMAGE, CONFIG, transforms=lambda key, shape: jnp.zeros(shape)),
            ValueError,
            r"of the shape \(12, 10\); it must return a matrix",
        ),
        (
            lambda: fit(KEY, IMAGE, CONFIG, transforms=Partial(draw_elastic, "strong")),
            TypeError,
            "transforms binds a str",
        ),
        (
            lambda: batch(KEY[None], IMAGE, CONFIG, transforms=Partial(draw_elastic, 0.5)),
            ValueError,
            r"transforms binds an array of the shape \(\); its first axis",
        ),
        (
            lambda: fit(KEY, IMAGE, CONFIG, transforms="elastic"),
            TypeError,
            "transforms is a str; give an array of numbers",
        ),
        (
            lambda: fit(KEY, IMAGE, s3.preset("dfc"), transforms=draw_grid),
            ValueError,
            "The method dfc does not use transforms",
        ),
    ],
)
def test_mistakes_are_named(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()
