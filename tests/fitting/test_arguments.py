"""Test the errors of ``fit``, ``fit_batch`` and ``grid`` for wrong arguments."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
from jax.tree_util import Partial

import s3net_jax as s3
from s3net_jax.fitting import initial_params

KEY = jax.random.key(0)
KEYS = jax.random.split(KEY, 2)
CONFIG = s3.preset("fast").replace(model={"channels": 4}, fit={"steps": 1})
IMAGE = np.zeros((16, 16, 3), np.float32)
BYTES = IMAGE.astype(np.uint8)
MANY = s3.grid(CONFIG, weight_ce=(1, 2, 3))
DEVICE = jax.devices()[0]
fit: Callable[..., Any] = s3.fit
batch: Callable[..., Any] = s3.fit_batch
grid: Callable[..., Any] = s3.grid

MISTAKES: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: fit(KEY, BYTES, CONFIG), TypeError, r"given is uint8\. s3net_jax\.prepare"),
    (lambda: fit(KEY, IMAGE > 0, CONFIG), TypeError, "given is bool"),
    (lambda: fit(KEY, IMAGE + 1j, CONFIG), TypeError, "given is complex"),
    (lambda: fit(KEY, "a.png", CONFIG), TypeError, "not a str"),
    (lambda: fit(KEY, IMAGE, "fast"), TypeError, r"s3net_jax\.preset\('fast'\)"),
    (lambda: fit(0, IMAGE, CONFIG), TypeError, r"The key is 0; give a PRNG key"),
    (lambda: fit(KEYS, IMAGE, CONFIG), ValueError, r"keys of the shape \(2,\)"),
    (lambda: fit(KEY, IMAGE, CONFIG, hyper={}), TypeError, "hyper is a dict"),
    (lambda: fit(KEY, IMAGE, CONFIG, hyper=MANY), ValueError, r"weight_ce has the shape \(3,\)"),
    (lambda: fit(KEY, IMAGE, CONFIG, transforms=[1]), ValueError, r"shape \(1,\); for 1 steps"),
    (lambda: fit(KEY, IMAGE, CONFIG, params={}), ValueError, r"missing auxiliary\.bias"),
    (lambda: batch(KEYS, BYTES, CONFIG), TypeError, "given is uint8"),
    (lambda: batch([0, 1], IMAGE, CONFIG), TypeError, "give a PRNG key"),
    (lambda: batch(KEYS, IMAGE, "fast"), TypeError, "where a Config is expected"),
    (lambda: batch(KEYS, IMAGE[None, None], CONFIG), ValueError, r"\(1, 1, 16, 16, 3\)"),
    (lambda: batch(KEYS, IMAGE, CONFIG, hyper={}), TypeError, "hyper is a dict"),
    (lambda: batch(KEYS, IMAGE, CONFIG, devices=[]), ValueError, r"devices is \[\]"),
    (lambda: batch(KEYS, IMAGE, CONFIG, devices=2), ValueError, "devices is 2"),
    (lambda: batch(KEYS, IMAGE, CONFIG, devices=[DEVICE] * 2), ValueError, "more than once"),
    (lambda: grid(CONFIG, weight_ce=1), TypeError, r"weight_ce is 1; .*weight_ce=\(1, 1\.2\)"),
    (lambda: grid(CONFIG, weight_ce="1,2"), TypeError, "a sequence of numbers"),
    (lambda: grid(CONFIG, weight_ce=["a"]), TypeError, "a sequence of numbers"),
    (lambda: grid(CONFIG, weight_ce=np.ones((2, 2))), TypeError, "a sequence of numbers"),
    (lambda: grid("fast"), TypeError, "where a Config is expected"),
]


@pytest.mark.parametrize(("call", "kind", "message"), MISTAKES)
def test_mistakes_are_named(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message) as caught:
        call()
    assert str(caught.value).endswith(".")


def test_unknown_parameters_are_named() -> None:
    params = s3.interop.to_torch(initial_params(KEY, CONFIG, (16, 16, 3)))
    params = s3.interop.from_torch({k: v for k, v in params.items() if k != "conv1.bias"})
    params["foot"] = params.pop("head")
    missing = r"missing head\.bias, head\.kernel, stem\.bias; unknown foot\.bias, foot\.kernel"
    with pytest.raises(ValueError, match=missing):
        fit(KEY, IMAGE, CONFIG, params=params)


def test_numbers_of_any_sequence_and_old_keys_are_taken() -> None:
    values = grid(CONFIG, weight_ce=np.array([1.0, 2.0]), momentum=range(1))
    np.testing.assert_array_equal(values.weight_ce, [1, 2])
    traced = jax.jit(lambda w: grid(CONFIG, weight_ce=(w, 2 * w)).weight_ce)(3.0)
    np.testing.assert_array_equal(traced, [3, 6])
    old = jax.random.PRNGKey(0)
    assert jax.eval_shape(lambda key: fit(key, IMAGE, CONFIG), old).labels.shape == (16, 16)


HYPER = s3.hyperparameters(CONFIG)
TRACED: list[Callable[..., Any]] = [
    jax.jit(lambda keys: batch(keys, IMAGE, CONFIG)),
    jax.jit(lambda _: batch(KEYS, IMAGE, CONFIG)),
    jax.vmap(lambda key: batch(key[None], IMAGE, CONFIG)),
]


@pytest.mark.parametrize("call", TRACED)
def test_tracing_a_batch_is_an_error(call: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match=r"can't be traced .* trace s3net_jax\.fit"):
        call(KEYS)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda h: fit(KEY, IMAGE, CONFIG, hyper=h(None)), TypeError, "momentum is None"),
        (lambda h: fit(KEY, IMAGE, CONFIG, hyper=h("0.9")), TypeError, "momentum is '0.9'"),
        (
            lambda h: fit(KEY, IMAGE, CONFIG, hyper=h(True)),
            TypeError,
            "momentum is True; give a number",
        ),
        (lambda h: batch(KEYS, IMAGE, CONFIG, hyper=h(1j)), TypeError, "momentum is 1j"),
        (lambda _: fit(KEY, IMAGE, CONFIG, transforms="none"), TypeError, "transforms is a str"),
        (lambda _: fit(np.zeros(3, np.uint32), IMAGE, CONFIG), TypeError, r"of uint32 \(3,\)"),
        (lambda _: fit(KEY, None, CONFIG), TypeError, "not a NoneType"),
        (lambda _: batch(KEYS, IMAGE, CONFIG, chunk=2.5), TypeError, "chunk is 2.5"),
        (
            lambda _: fit(KEY, IMAGE, CONFIG, extra_loss=Partial(len, "a")),
            TypeError,
            "extra_loss binds a str",
        ),
    ],
)
def test_values_that_are_no_numbers_are_named(
    call: Callable[..., Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        call(lambda momentum: dataclasses.replace(HYPER, momentum=momentum))


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["released", "fast"])
def test_given_transforms_are_used_whatever_the_configuration_draws(preset: str) -> None:
    config = s3.preset(preset).replace(
        model={"channels": 4, "blocks": 1}, fit={"steps": 2, "stop_labels": 0}
    )
    image = jax.random.uniform(KEY, (8, 8, 3))
    zoom = np.tile(np.array([[0.5, 0, 1], [0, 0.5, 0]], np.float32), (2, 1, 1))
    turn = np.tile(np.array([[0, 1, 0], [-1, 0, 0]], np.float32), (2, 1, 1))
    drawn, zoomed, turned = (fit(KEY, image, config, transforms=t) for t in (None, zoom, turn))
    assert np.all(drawn.history["affine"] != zoomed.history["affine"])
    assert np.any(drawn.params["stem"]["kernel"][...] != zoomed.params["stem"]["kernel"][...])
    if preset == "released":  # which always turns by a quarter, and need not compute it
        # The turned sum adds the same numbers in another order: some units of the last place.
        np.testing.assert_allclose(turned.history["affine"][0], drawn.history["affine"][0], 1e-5)
