"""The fastest block sizes for one problem, by compiling and timing candidates.

The heuristic's block sizes are timed first, then those in use or measured for other sizes, then
the rest in random order, until the time limit. A faster candidate is chosen only if its result
agrees with the heuristic's.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from s3net_kernels._pallas import Problem, tuning
from s3net_kernels.testing import tolerance
from s3net_kernels.tune.kernels import KERNELS
from s3net_kernels.tune.profile import kernels_of

__all__ = ["tune"]

Blocks = dict[str, int]
_R = TypeVar("_R")
_THREADS = min(16, os.cpu_count() or 1)
_SHORT = 2e-4
"""Seconds of a call that launching may take a good part of."""
_BUSY = 0.1
"""Seconds of work before something is timed."""
_HOPELESS = 2.0
"""A candidate that is that much slower than the best at its first timing gets no second one."""


def compile_all(
    problem: Problem, several: Sequence[Blocks], arrays: tuple[Any, ...]
) -> list[Callable[..., Any] | None]:
    """The kernel with each of several ``blocks``, compiled side by side; None if it can't be."""

    with ThreadPoolExecutor(_THREADS) as pool:

        def begin(blocks: Blocks) -> Future[Callable[..., Any]]:
            # Lowered in this thread, which has the settings.
            function = jax.jit(KERNELS[problem.kernel].call(problem, blocks))
            return pool.submit(function.lower(*arrays).compile)

        begun = [_try(blocks, lambda b=blocks: begin(b)) for blocks in several]
        return [f and _try(b, f.result) for b, f in zip(several, begun, strict=True)]


def measure_seconds(
    blocks: Blocks, function: Callable[..., Any], arrays: tuple[Any, ...], best: float
) -> float:
    """Seconds of a call, compiled with ``blocks``; infinity if it can't be run."""

    def measure() -> float:
        first = _time_calls(function, arrays, 1)
        if first > _HOPELESS * best:
            return first
        count = max(1, min(50, int(0.02 / first)))
        if first < _SHORT and _on_gpu():
            # Nothing, where the profiler sees no kernels.
            on_device = _time_on_device(function, arrays, count)
            if on_device > 0:
                return on_device
        return statistics.median(_time_calls(function, arrays, count) for _ in range(5))

    found = _try(blocks, measure)
    return float("inf") if found is None else found


def differs(actual: Any, expected: Any, problem: Problem) -> bool:
    """Whether two results are further apart than another order of summing brings them, or one is
    not finite."""
    limit = min(tolerance(problem.dtype, problem.height * problem.width), tolerance("bfloat16"))
    pairs = zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True)
    # A NaN is not within the limit either.
    return not all(a.shape == e.shape and float(_measure_distance(a, e)) <= limit for a, e in pairs)


@jax.jit
def _measure_distance(actual: Any, expected: Any) -> jax.Array:
    """Compute :func:`s3net_kernels.testing.relative_error` on the device: results are large.

    Of integers, which are labels and signs, it is the share that differs.
    """
    if jnp.issubdtype(actual.dtype, jnp.integer):
        return jnp.mean(actual != expected, dtype=jnp.float32)
    a, e = (jnp.asarray(array, jnp.float32) for array in (actual, expected))
    scale = jnp.abs(e).max(initial=0)
    return jnp.abs(a - e).max(initial=0) / jnp.where(scale > 0, scale, 1)


def _on_gpu() -> bool:
    return jax.default_backend() == "gpu"


def _try(blocks: Blocks, run: Callable[[], _R]) -> _R | None:
    try:
        return run()
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        print(f"    {blocks}: {reason[:100]}", file=sys.stderr)
        return None


def _time_on_device(function: Callable[..., Any], arrays: tuple[Any, ...], count: int) -> float:
    """Seconds of a call that its kernels take, as the profiler sees them: launching a short one
    from Python takes longer than it does."""

    def run() -> None:
        jax.block_until_ready([function(*arrays) for _ in range(count)])

    return sum(kernels_of(run)[0].values()) / count


def _keep_busy(functions: Sequence[Callable[..., Any] | None], arrays: tuple[Any, ...]) -> None:
    """Calls for a while: a GPU that waited for a compiler has let its clocks sink."""
    end = time.perf_counter() + _BUSY
    for function in filter(None, functions):
        # What fails says so when it is timed.
        with suppress(Exception):
            while _on_gpu() and time.perf_counter() < end:
                jax.block_until_ready(function(*arrays))


def _time_calls(function: Callable[..., Any], arrays: tuple[Any, ...], count: int) -> float:
    jax.block_until_ready(function(*arrays))
    start = time.perf_counter()
    for _ in range(count):
        result = function(*arrays)
    jax.block_until_ready(result)
    return (time.perf_counter() - start) / count


def tune(problem: Problem, limit: float, most: int | None = None) -> dict[str, Any]:
    """The entry of a table for ``problem``.

    Blocks whose result is not the heuristic's are not chosen.

    Args:
      problem: what to measure.
      limit: seconds; at least the heuristic is measured.
      most: candidates at most, for trying the tuner.
    """
    kernel = KERNELS[problem.kernel]
    arrays = kernel.arguments(problem)
    heuristic = kernel.heuristic(problem)
    others = [c for c in kernel.candidates(problem) if c != heuristic]
    random.Random(0).shuffle(others)
    # However short the run is, what it finds is not slower than what it replaces; and what is good
    # for other sizes comes before the rest.
    used, alike = tuning.look_up(problem), tuning.list_measured(problem)
    others.sort(key=lambda c: 0 if c == used else 1 if c in alike else 2)
    candidates = [heuristic, *others][:most]
    start, best, chosen, tried = time.perf_counter(), float("inf"), heuristic, 0
    baseline, expected, first, fastest = best, None, None, None
    # The heuristic alone first; then as many as are compiled at once.
    batches = [candidates[:1]]
    batches += [candidates[i : i + _THREADS] for i in range(1, len(candidates), _THREADS)]
    for batch in batches:
        if tried and time.perf_counter() - start > limit:
            break
        functions = compile_all(problem, batch, arrays)
        _keep_busy(functions, arrays)
        for blocks, function in zip(batch, functions, strict=True):
            seconds = float("inf")
            if function is not None:
                seconds = measure_seconds(blocks, function, arrays, best)
            tried += 1
            if blocks is heuristic:
                baseline, first = seconds, function
            if function is None or seconds >= best:
                continue
            result = function(*arrays)
            # Of the heuristic; where that does not work, of the first blocks that do.
            expected = result if expected is None else expected
            if differs(result, expected, problem):
                print(f"    {blocks}: left out, another result than the heuristic's")
                continue
            best, chosen, fastest = seconds, blocks, function
    if fastest is None:
        raise RuntimeError(f"No block sizes work for {problem.key}.")
    if first is not None and chosen is not heuristic and np.isfinite(baseline):
        # Once more, right after each other: the device may have become faster in between.
        _keep_busy([fastest], arrays)
        best = measure_seconds(chosen, fastest, arrays, float("inf"))
        baseline = measure_seconds(heuristic, first, arrays, float("inf"))
        if baseline <= best:
            best, chosen = baseline, heuristic
    return {
        "blocks": chosen,
        "microseconds": best * 1e6,
        "heuristic_microseconds": baseline * 1e6 if np.isfinite(baseline) else None,
        "tried": tried,
        "candidates": len(others) + 1,
    }
