"""Find the fastest block sizes for one problem by compiling and timing candidates.

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
from s3net_kernels.tune.profile import profile_kernels

__all__ = ["tune"]

Blocks = dict[str, int]
_R = TypeVar("_R")
_THREADS = min(16, os.cpu_count() or 1)
_SHORT = 2e-4
"""Seconds of a call below which launch overhead may be a large part of the time."""
_BUSY = 0.1
"""Seconds of work before a measurement, to raise the GPU's clocks."""
_HOPELESS = 2.0
"""Factor over the best time beyond which a candidate's first timing is not repeated."""


def compile_all(
    problem: Problem, several: Sequence[Blocks], arrays: tuple[Any, ...]
) -> list[Callable[..., Any] | None]:
    """Compile the kernel in parallel with each of several ``blocks``; None where it fails."""

    with ThreadPoolExecutor(_THREADS) as pool:

        def begin(blocks: Blocks) -> Future[Callable[..., Any]]:
            # Lower in this thread, because the settings are thread-local.
            function = jax.jit(KERNELS[problem.kernel].call(problem, blocks))
            return pool.submit(function.lower(*arrays).compile)

        started = [_try(blocks, lambda b=blocks: begin(b)) for blocks in several]
        return [f and _try(b, f.result) for b, f in zip(several, started, strict=True)]


def measure_seconds(
    blocks: Blocks, function: Callable[..., Any], arrays: tuple[Any, ...], best: float
) -> float:
    """Measure the seconds of a call compiled with ``blocks``; infinity if it fails."""

    def measure() -> float:
        first = _time_calls(function, arrays, 1)
        if first > _HOPELESS * best:
            return first
        count = max(1, min(50, int(0.02 / first)))
        if first < _SHORT and _is_on_gpu():
            # Zero if the profiler sees no kernels.
            on_device = _time_on_device(function, arrays, count)
            if on_device > 0:
                return on_device
        return statistics.median(_time_calls(function, arrays, count) for _ in range(5))

    found = _try(blocks, measure)
    return float("inf") if found is None else found


def differs(actual: Any, expected: Any, problem: Problem) -> bool:
    """Return whether two results differ by more than the order of summation explains, or one is
    not finite."""
    limit = min(tolerance(problem.dtype, problem.height * problem.width), tolerance("bfloat16"))
    pairs = zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True)
    # The comparison is also false for NaN.
    return not all(a.shape == e.shape and float(_measure_distance(a, e)) <= limit for a, e in pairs)


@jax.jit
def _measure_distance(actual: Any, expected: Any) -> jax.Array:
    """Compute :func:`s3net_kernels.testing.relative_error` on the device, as results are large.

    For integers, which are labels and signs, compute the share that differs.
    """
    if jnp.issubdtype(actual.dtype, jnp.integer):
        return jnp.mean(actual != expected, dtype=jnp.float32)
    a, e = (jnp.asarray(array, jnp.float32) for array in (actual, expected))
    scale = jnp.abs(e).max(initial=0)
    return jnp.abs(a - e).max(initial=0) / jnp.where(scale > 0, scale, 1)


def _is_on_gpu() -> bool:
    return jax.default_backend() == "gpu"


def _try(blocks: Blocks, run: Callable[[], _R]) -> _R | None:
    try:
        return run()
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        print(f"    {blocks}: {reason[:100]}", file=sys.stderr)
        return None


def _time_on_device(function: Callable[..., Any], arrays: tuple[Any, ...], count: int) -> float:
    """Measure the device seconds of a call's kernels with the profiler, because launching a short
    call from Python takes longer than running it."""

    def run() -> None:
        jax.block_until_ready([function(*arrays) for _ in range(count)])

    return sum(profile_kernels(run)[0].values()) / count


def _keep_busy(functions: Sequence[Callable[..., Any] | None], arrays: tuple[Any, ...]) -> None:
    """Call the functions for a while, because an idle GPU has lowered its clocks."""
    end = time.perf_counter() + _BUSY
    for function in filter(None, functions):
        # Errors are reported when the function is timed.
        with suppress(Exception):
            while _is_on_gpu() and time.perf_counter() < end:
                jax.block_until_ready(function(*arrays))


def _time_calls(function: Callable[..., Any], arrays: tuple[Any, ...], count: int) -> float:
    jax.block_until_ready(function(*arrays))
    start = time.perf_counter()
    for _ in range(count):
        result = function(*arrays)
    jax.block_until_ready(result)
    return (time.perf_counter() - start) / count


def tune(problem: Problem, limit: float, most: int | None = None) -> dict[str, Any]:
    """Measure candidates and return the table entry for ``problem``.

    Blocks whose result differs from the heuristic's are rejected.

    Args:
      problem: problem to measure.
      limit: time limit in seconds; the heuristic is always measured.
      most: maximum number of candidates, to test the tuner; None for all.

    Returns:
      The chosen blocks, their microseconds and the heuristic's, and the number of candidates.

    Raises:
      RuntimeError: no block sizes work.
    """
    kernel = KERNELS[problem.kernel]
    arrays = kernel.arguments(problem)
    heuristic = kernel.heuristic(problem)
    others = [c for c in kernel.candidates(problem) if c != heuristic]
    random.Random(0).shuffle(others)
    # Try the blocks in use first, so that even a short run does not replace them by slower ones;
    # then those that are good for other sizes.
    used, alike = tuning.look_up(problem), tuning.list_measured(problem)
    others.sort(key=lambda c: 0 if c == used else 1 if c in alike else 2)
    candidates = [heuristic, *others][:most]
    start, best, chosen, tried = time.perf_counter(), float("inf"), heuristic, 0
    baseline, expected, first, fastest = best, None, None, None
    # The heuristic by itself first; then as many as are compiled in parallel.
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
            # Compare with the heuristic, or with the first blocks that work if it fails.
            expected = result if expected is None else expected
            if differs(result, expected, problem):
                print(f"    {blocks}: rejected, its result differs from the heuristic's")
                continue
            best, chosen, fastest = seconds, blocks, function
    if fastest is None:
        raise RuntimeError(f"No block sizes work for {problem.key}.")
    if first is not None and chosen is not heuristic and np.isfinite(baseline):
        # Measure both again in succession: the GPU's clocks may have changed in between.
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
