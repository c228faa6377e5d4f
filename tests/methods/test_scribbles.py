"""DFC with scribbles: the loss against a slow version, early stop, batches, mistakes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy import special

import s3net_jax as s3
from s3net_jax import fitting
from s3net_jax.methods import StepInputs, get_method
from s3net_jax.methods.responses import count_scribble_classes, read_scribbles

KEY = jax.random.key(3)
CONFIG = s3.preset("dfc").replace(
    input={"size": 24}, model={"channels": 8}, fit={"steps": 6, "stop_labels": 0}
)
SHAPE = (24, 20)
fit: Callable[..., Any] = s3.fit
batch: Callable[..., Any] = s3.fit_batch


def make_marks(dtype: Any = np.int32, unmarked: int = -1) -> np.ndarray:
    """A scribble of class 0 in the middle, and one of class 3 at the top."""
    marks = np.full(SHAPE, unmarked, dtype)
    marks[9:13, 8:12], marks[:2] = 0, 3
    return marks


def compute_loss_slowly(responses: np.ndarray, marks: np.ndarray, weight: float) -> float:
    """The loss of the released code with --scribble, for (H, W, K) responses."""
    log_p = special.log_softmax(responses, -1)
    free: list[float] = []
    fixed: list[float] = []
    for y, x in np.ndindex(marks.shape):
        if marks[y, x] < 0:
            free.append(-log_p[y, x, int(np.argmax(responses[y, x]))])
        else:
            fixed.append(-log_p[y, x, marks[y, x]])
    down = np.mean(np.abs(responses[1:] - responses[:-1]))
    right = np.mean(np.abs(responses[:, 1:] - responses[:, :-1]))
    mean = [float(np.mean(values)) if values else 0.0 for values in (free, fixed)]
    return mean[0] + weight * mean[1] + float(down + right)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["some", "all", "none"])
def test_the_loss_is_that_of_the_released_code(kind: str, picture: np.ndarray, x64: None) -> None:
    config = CONFIG.replace(model={"dtype": "float64"})
    marks = {"some": make_marks(), "all": np.full(SHAPE, 2), "none": np.full(SHAPE, -1)}[kind]
    method = get_method("dfc")
    model = method.build(config, picture.shape, nnx.Rngs(0))
    data = read_scribbles({"scribbles": marks, "weight": 0.7}, SHAPE, config)
    data = jax.tree.map(lambda leaf: leaf[None], data)
    inputs = StepInputs(
        jnp.asarray(picture[None], float), fitting.hyperparameters(config), data=data
    )
    result = method.objective(model, inputs, config)
    expected = compute_loss_slowly(np.asarray(result.logits[0]), marks, 0.7)
    np.testing.assert_allclose(result.loss, expected, rtol=1e-9)
    assert list(result.terms) == [*method.terms, *method.data_terms]
    np.testing.assert_array_equal(result.labels, np.argmax(result.logits, -1))


@pytest.mark.slow
def test_marked_pixels_get_their_class(picture: np.ndarray) -> None:
    marks = make_marks()
    config = CONFIG.replace(fit={"steps": 20})
    result = fit(KEY, picture, config, data={"scribbles": marks})
    plain = fit(KEY, picture, config)
    marked = marks >= 0
    assert np.mean(result.labels[marked] == marks[marked]) > 0.9
    assert np.mean(plain.labels[marked] == marks[marked]) < 0.9
    assert set(result.history) == {"loss", "ce", "continuity", "scribble", "labels"}
    assert result.history["scribble"][-1] < result.history["scribble"][0]
    total = sum(result.history[name] for name in ("ce", "continuity"))
    expected = total + 0.5 * result.history["scribble"]
    np.testing.assert_allclose(result.history["loss"], expected, rtol=1e-5)


@pytest.mark.slow
def test_files_of_the_released_code_are_read_as_they_are(picture: np.ndarray) -> None:
    one = fit(KEY, picture, CONFIG, data={"scribbles": make_marks(np.uint8, 255)})
    other = fit(KEY, picture, CONFIG, data={"scribbles": make_marks(), "weight": 0.5})
    np.testing.assert_array_equal(one.logits, other.logits)


@pytest.mark.slow
def test_without_marks_the_fit_is_the_plain_one(picture: np.ndarray) -> None:
    config = CONFIG.replace(fit={"stop_labels": 3})
    empty = fit(KEY, picture, config, data={"scribbles": np.full(SHAPE, -1)})
    plain = fit(KEY, picture, config)
    np.testing.assert_allclose(empty.logits, plain.logits, atol=1e-4)
    assert int(empty.steps) == int(plain.steps)


@pytest.mark.slow
def test_the_fit_stops_at_the_number_of_scribbled_classes(picture: np.ndarray) -> None:
    config = CONFIG.replace(fit={"stop_labels": 3, "stop_after": 1})
    marks = np.arange(SHAPE[0] * SHAPE[1]).reshape(SHAPE) % 8  # every class of the network
    stopped = fit(KEY, picture, config, data={"scribbles": marks})
    assert int(stopped.steps) == 1
    assert np.isnan(stopped.history["scribble"][1:]).all()
    goes_on = fit(KEY, picture, config, data={"scribbles": make_marks()})
    assert int(goes_on.steps) > 1
    never = fit(KEY, picture, CONFIG, data={"scribbles": marks})
    assert int(never.steps) == 6
    assert int(count_scribble_classes(jnp.asarray(make_marks()), 8)) == 2
    assert int(count_scribble_classes(jnp.full(SHAPE, -1), 8)) == 0


@pytest.mark.slow
def test_scribbles_are_dynamic_batched_and_mapped(picture: np.ndarray) -> None:
    compiled: Any = sys.modules["s3net_jax.fitting.fit"]._fit
    compiled.clear_cache()
    config = CONFIG.replace(fit={"stop_labels": 2, "stop_after": 2})
    marks = np.stack([make_marks(), make_marks()[::-1], np.full(SHAPE, -1)])
    weights = np.array([0.5, 2.0, 0.5], np.float32)
    keys = jax.random.split(KEY, 3)
    each = [
        fit(key, picture, config, data={"scribbles": one, "weight": weight})
        for key, one, weight in zip(keys, marks, weights, strict=True)
    ]
    assert compiled._cache_size() == 1
    many = batch(keys, picture, config, data={"scribbles": marks, "weight": weights})
    mapped = jax.vmap(
        lambda key, one, weight: fit(
            key, picture, config, data={"scribbles": one, "weight": weight}
        )
    )(keys, jnp.asarray(marks), jnp.asarray(weights))
    for n, one in enumerate(each):
        assert int(one.steps) == many.steps[n] == mapped.steps[n]
        np.testing.assert_allclose(many.logits[n], one.logits, atol=1e-3)
        np.testing.assert_allclose(mapped.logits[n], one.logits, atol=1e-3)
    shared = batch(keys, picture, config, data={"scribbles": marks[0]})
    np.testing.assert_allclose(shared.logits[0], each[0].logits, atol=1e-3)


@pytest.mark.slow
def test_the_loss_differentiates_by_the_weight(picture: np.ndarray) -> None:
    config = CONFIG.replace(fit={"steps": 1})

    def compute_loss(weight: jax.Array) -> jax.Array:
        data = {"scribbles": make_marks(), "weight": weight}
        return fit(KEY, picture, config, data=data).history["loss"][0]

    result = fit(KEY, picture, config, data={"scribbles": make_marks()})
    slope = jax.grad(compute_loss)(jnp.float32(0.5))
    np.testing.assert_allclose(slope, result.history["scribble"][0], rtol=1e-5)


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        (make_marks(), TypeError, "data is a ndarray; give a dict with the array 'scribbles'"),
        ({"weight": 1}, ValueError, "data has no 'scribbles'"),
        ({"scribbles": make_marks(), "wait": 1}, ValueError, "unknown name 'wait'"),
        ({"scribbles": make_marks(float)}, TypeError, "is float64; give integer classes"),
        ({"scribbles": make_marks()[:-1]}, ValueError, r"\(23, 20\), but the prepared image has"),
        ({"scribbles": make_marks() + 6}, ValueError, "has the class 9; .* classes are 0 to 7"),
        ({"scribbles": make_marks() - 1}, ValueError, "has the class -2"),
        ({"scribbles": make_marks(), "weight": np.ones(2)}, ValueError, "give a single number"),
    ],
)
def test_mistakes_are_named(
    data: Any, kind: type[Exception], message: str, picture: np.ndarray
) -> None:
    with pytest.raises(kind, match=message):
        fit(KEY, picture, CONFIG, data=data)


def test_other_methods_take_no_scribbles(picture: np.ndarray) -> None:
    with pytest.raises(ValueError, match="The method sgscn does not use data"):
        fit(KEY, picture, s3.preset("sgscn"), data={"scribbles": make_marks()})
