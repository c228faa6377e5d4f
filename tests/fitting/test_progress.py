"""Test listeners: one program serves all, each gets its own fit's reports, none remains."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

import s3net_jax as s3
from s3net_jax.fitting import progress as listening

CONFIG = s3.preset("fast").replace(model={"channels": 4}, fit={"steps": 3})
KEY = jax.random.key(1)
IMAGE = np.random.default_rng(0).random((8, 8, 3)).astype(np.float32)
Record = tuple[int, dict[str, Any]]
fit: Callable[..., Any] = s3.fit


def listener(seen: list[Record]) -> Callable[[int, dict[str, Any]], None]:
    return lambda step, record: seen.append((step, record))


@pytest.mark.slow
def test_all_reports_are_made_when_fit_returns() -> None:
    seen: list[Record] = []
    result = fit(KEY, IMAGE, CONFIG, progress=listener(seen))
    assert sorted(step for step, _ in seen) == [1, 2, 3]
    losses = [record["loss"] for _, record in sorted(seen, key=lambda report: report[0])]
    np.testing.assert_array_equal(np.asarray(losses, np.float32), result.history["loss"])
    assert not listening._listeners


@pytest.mark.slow
def test_after_an_early_stop_no_report_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "_PATIENCE", 1e9)
    config = CONFIG.replace(fit={"stop_labels": 4, "stop_after": 2})
    seen: list[Record] = []
    assert int(fit(KEY, IMAGE, config, progress=listener(seen)).steps) == len(seen) == 2


def test_fits_at_the_same_time_reach_their_own_listeners() -> None:
    keys = [*jax.random.split(KEY, 3)]
    heard: list[list[Record]] = [[] for _ in keys]
    results: list[Any] = [None] * len(keys)

    def run(n: int) -> None:
        results[n] = fit(keys[n], IMAGE, CONFIG, progress=listener(heard[n]))

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(keys))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seen, result in zip(heard, results, strict=True):
        losses = [record["loss"] for _, record in sorted(seen, key=lambda report: report[0])]
        np.testing.assert_array_equal(np.asarray(losses, np.float32), result.history["loss"])


@pytest.mark.slow
def test_a_listener_may_fit_itself() -> None:
    inner: list[Record] = []
    outer: list[Record] = []

    def fit_again(step: int, record: dict[str, Any]) -> None:
        outer.append((step, record))
        if step == 2:
            fit(KEY, IMAGE, CONFIG, progress=listener(inner))

    fit(KEY, IMAGE, CONFIG, progress=fit_again)
    assert (len(outer), len(inner)) == (3, 3)


@pytest.mark.slow
def test_what_a_listener_raises_is_raised_by_fit() -> None:
    class Enough(Exception):
        pass

    def stop(step: int, _: Any) -> None:
        raise Enough(f"step {step}")

    with pytest.raises(Enough, match="step 1"):
        fit(KEY, IMAGE, CONFIG, progress=stop)
    assert not listening._listeners
    fit(KEY, IMAGE, CONFIG)  # a later fit still works


@pytest.mark.slow
def test_traced_fits_reach_their_listener_at_every_run() -> None:
    seen: list[Record] = []
    traced = jax.jit(lambda key: fit(key, IMAGE, CONFIG, progress=listener(seen)).labels)
    for key in jax.random.split(KEY, 2):
        jax.block_until_ready(traced(key))
    jax.effects_barrier()
    assert sorted(step for step, _ in seen) == [1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize("function", [s3.fit, s3.fit_batch])
def test_a_listener_can_be_called(function: Callable[..., Any]) -> None:
    key = KEY if function is s3.fit else KEY[None]
    with pytest.raises(TypeError, match="progress is a bool: give a function"):
        function(key, IMAGE, CONFIG, progress=True)
