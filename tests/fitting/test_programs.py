"""Test that each shape and static configuration compiles once, for all kinds of arguments."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from flax import nnx
from jax.tree_util import Partial

import s3net_jax as s3
from s3net_jax.fitting import initial_params

SHAPE = (8, 8, 3)
CONFIG = s3.preset("fast").replace(model={"channels": 4}, fit={"steps": 1})
KEY = jax.random.key(1)
IMAGE = np.random.default_rng(0).random(SHAPE).astype(np.float32)
PARAMS = initial_params(KEY, CONFIG, (8, 8, 3))
MATRICES = np.tile(np.eye(2, 3, dtype=np.float32), (1, 1, 1))
fit: Callable[..., Any] = s3.fit
fit_batch: Callable[..., Any] = s3.fit_batch


def hyper(number: Callable[[float], Any]) -> s3.Hyper:
    return s3.Hyper(*(number(v) for v in (1.0, 2.0, 1.0, 1.0, 0.5)))


def scale_loss(weight: Any, logits: Any, labels: Any, image: Any) -> Any:
    return weight * jnp.mean(logits)


def count_programs(calls: list[Callable[[], Any]]) -> int:
    """Count the fits that ``calls`` compile or look up again."""
    compiled: Any = sys.modules["s3net_jax.fitting.fit"]._fit
    compiled.clear_cache()
    for call in calls:
        call()
    return compiled._cache_size()


WAYS: dict[str, list[Callable[[], Any]]] = {
    "hyper": [
        lambda n=number: fit(KEY, IMAGE, CONFIG, hyper=n)
        for number in (
            None,
            hyper(float),
            hyper(lambda v: int(v) or 1),
            hyper(np.float32),
            hyper(np.float64),
            hyper(np.asarray),
            hyper(jnp.float32),
            hyper(jnp.asarray),
            hyper(jnp.bfloat16),
        )
    ],
    "image": [
        lambda i=image: fit(KEY, i, CONFIG)
        for image in (
            IMAGE,
            IMAGE.astype(np.float64),
            IMAGE.astype(np.float16),
            IMAGE.astype(ml_dtypes.bfloat16),
            IMAGE.astype(">f4"),
            np.asfortranarray(IMAGE),
            np.repeat(IMAGE, 2, 0)[::2],
            IMAGE.tolist(),
            jnp.asarray(IMAGE),
            jnp.asarray(IMAGE, jnp.float16),
            jax.device_put(IMAGE, jax.devices()[0]),
        )
    ],
    "key": [
        lambda k=key: fit(k, IMAGE, CONFIG)
        for key in (
            KEY,
            jax.random.PRNGKey(1),
            np.asarray(jax.random.PRNGKey(1)),
            jax.device_put(KEY, jax.devices()[0]),
        )
    ],
    "transforms": [
        lambda t=matrices: fit(KEY, IMAGE, CONFIG, transforms=t)
        for matrices in (
            MATRICES,
            MATRICES.astype(int),
            MATRICES.tolist(),
            jnp.asarray(MATRICES),
            [jnp.asarray(MATRICES[0])],
        )
    ],
    "params": [
        lambda p=params: fit(KEY, IMAGE, CONFIG, params=p)
        for params in (
            PARAMS,
            nnx.to_pure_dict(PARAMS),
            jax.tree.map(np.asarray, nnx.to_pure_dict(PARAMS)),
            s3.interop.from_torch(s3.interop.to_torch(PARAMS)),
        )
    ],
    "bound": [
        lambda b=bound: fit(KEY, IMAGE, CONFIG, extra_loss=Partial(scale_loss, b))
        for bound in (0.5, np.float64(0.5), np.float32(0.5), jnp.float32(0.5), jnp.asarray(0.5))
    ],
    "progress": [
        lambda n=n: fit(KEY, IMAGE, CONFIG, progress=lambda *_: None if n else 1) for n in range(3)
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("what", WAYS)
def test_each_way_of_calling_takes_the_same_program(what: str) -> None:
    assert count_programs(WAYS[what]) == 1


@pytest.mark.slow
def test_nothing_is_compiled_again() -> None:
    """Neither casts of arguments nor JAX's deeper caches compile anything in a second call."""
    compiled: list[str] = []

    def listen(event: str, *_: Any, **__: Any) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(event)

    calls = [call for what in ("hyper", "image", "key") for call in WAYS[what]]
    for call in calls:
        call()
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        for call in calls:
            call()
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert compiled == []


def test_each_way_of_calling_gives_the_same_result() -> None:
    exact = [call for what in ("hyper", "key", "params") for call in WAYS[what][:1]]
    first, *others = (call().logits for call in [*WAYS["key"], *exact[:2]])
    for other in others:
        np.testing.assert_array_equal(first, other)


@pytest.mark.slow
def test_a_batch_takes_any_key_and_image_by_the_same_programs() -> None:
    mapped: Any = sys.modules["s3net_jax.fitting.sharding"]
    keys = jax.random.split(KEY, 2)
    raw = jax.random.key_data(keys)
    mapped.begin_fits.clear_cache()
    mapped.advance_fits.clear_cache()
    results = [
        fit_batch(given, image, CONFIG, hyper=numbers)
        for given, image, numbers in [
            (keys, IMAGE, None),
            (raw, jnp.asarray(IMAGE), s3.grid(CONFIG, weight_ce=(1.2, 1.2))),
            (np.asarray(raw), IMAGE.astype(np.float64), hyper(float)),
            ([*keys], IMAGE.tolist(), hyper(np.float32)),
        ]
    ]
    assert mapped.begin_fits._cache_size() == 1
    assert mapped.advance_fits._cache_size() == 1
    np.testing.assert_array_equal(results[0].logits, results[1].logits)


@pytest.mark.slow
def test_a_batch_takes_any_listener_by_the_same_programs() -> None:
    """Listeners are called on the host and are not part of a program."""
    mapped: Any = sys.modules["s3net_jax.fitting.sharding"]
    programs = [mapped.begin_fits, mapped.advance_fits, mapped.compute_batch_logits]
    for program in programs:
        program.clear_cache()
    seen: list[int] = []
    for listener in (None, lambda step, _: seen.append(step), lambda step, _: seen.append(-step)):
        fit_batch(jax.random.split(KEY, 2), IMAGE, CONFIG, progress=listener)
    assert seen == [1, -1]
    assert [program._cache_size() for program in programs] == [1, 1, 1]
