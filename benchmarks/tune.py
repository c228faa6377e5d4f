"""Measures block sizes of the Pallas kernels and writes the table of this GPU.

    python -m benchmarks.tune --budget 500

Every problem of a network's step is tried with the heuristic's block sizes first, then with those
in use or measured for other sizes, then with the others in random order, a few compiled side by
side and then timed, until its share of the budget is spent. Faster ones are taken if they give the
heuristic's result. What is found lies in ``kernels/s3net_kernels/tuned/<device>.json``, rewritten
after every problem: an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.machine import hold_little_memory, on_gpu
from benchmarks.metadata import metadata
from benchmarks.options import DTYPES, positive
from benchmarks.trace import kernels_of
from benchmarks.tuned_kernels import KERNELS
from benchmarks.tuned_problems import problems
from s3net_kernels import _tuning, config
from s3net_kernels._tolerance import tolerance
from s3net_kernels._tuning import Problem

__all__ = ["main", "tune"]

Blocks = dict[str, int]
_R = TypeVar("_R")
_THREADS = min(16, os.cpu_count() or 1)
_SHORT = 2e-4
"""Seconds of a call that launching may take a good part of."""
_BUSY = 0.1
"""Seconds of work before something is timed."""
_HOPELESS = 2.0
"""A candidate that is that much slower than the best at its first timing gets no second one."""


def compiled(
    problem: Problem, several: Sequence[Blocks], arrays: tuple[Any, ...]
) -> list[Callable[..., Any] | None]:
    """The kernel with each of several ``blocks``, compiled side by side; None if it can't be."""

    with ThreadPoolExecutor(_THREADS) as pool:

        def begin(blocks: Blocks) -> Future[Callable[..., Any]]:
            # Lowered in this thread, which has the settings.
            function = jax.jit(KERNELS[problem.kernel].call(problem, blocks))
            return pool.submit(function.lower(*arrays).compile)

        begun = [_or_none(blocks, lambda b=blocks: begin(b)) for blocks in several]
        return [f and _or_none(b, f.result) for b, f in zip(several, begun, strict=True)]


def seconds_of(
    blocks: Blocks, function: Callable[..., Any], arrays: tuple[Any, ...], best: float
) -> float:
    """Seconds of a call, compiled with ``blocks``; infinity if it can't be run."""

    def measure() -> float:
        first = _time(function, arrays, 1)
        if first > _HOPELESS * best:
            return first
        count = max(1, min(50, int(0.02 / first)))
        if first < _SHORT and on_gpu():
            # Nothing, where the profiler sees no kernels.
            on_device = _device_time(function, arrays, count)
            if on_device > 0:
                return on_device
        return statistics.median(_time(function, arrays, count) for _ in range(5))

    found = _or_none(blocks, measure)
    return float("inf") if found is None else found


def differs(actual: Any, expected: Any, problem: Problem) -> bool:
    """Whether two results are further apart than another order of summing brings them, or one is
    not finite."""
    limit = min(tolerance(problem.dtype, problem.height * problem.width), tolerance("bfloat16"))
    pairs = zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True)
    # A NaN is not within the limit either.
    return not all(a.shape == e.shape and float(_apart(a, e)) <= limit for a, e in pairs)


@jax.jit
def _apart(actual: Any, expected: Any) -> jax.Array:
    """As :func:`s3net_kernels._tolerance.relative_error`, on the device: results are large. Of
    integers, labels and signs, the share that differs."""
    if jnp.issubdtype(actual.dtype, jnp.integer):
        return jnp.mean(actual != expected, dtype=jnp.float32)
    a, e = (jnp.asarray(array, jnp.float32) for array in (actual, expected))
    scale = jnp.abs(e).max(initial=0)
    return jnp.abs(a - e).max(initial=0) / jnp.where(scale > 0, scale, 1)


def _or_none(blocks: Blocks, run: Callable[[], _R]) -> _R | None:
    try:
        return run()
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        print(f"    {blocks}: {reason[:100]}", file=sys.stderr)
        return None


def _device_time(function: Callable[..., Any], arrays: tuple[Any, ...], count: int) -> float:
    """Seconds of a call that its kernels take, as the profiler sees them: launching a short one
    from Python takes longer than it does."""

    def run() -> None:
        jax.block_until_ready([function(*arrays) for _ in range(count)])

    return sum(kernels_of(run)[0].values()) / count


def _busy(functions: Sequence[Callable[..., Any] | None], arrays: tuple[Any, ...]) -> None:
    """Calls for a while: a GPU that waited for a compiler has let its clocks sink."""
    end = time.perf_counter() + _BUSY
    for function in filter(None, functions):
        # What fails says so when it is timed.
        with suppress(Exception):
            while on_gpu() and time.perf_counter() < end:
                jax.block_until_ready(function(*arrays))


def _time(function: Callable[..., Any], arrays: tuple[Any, ...], count: int) -> float:
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
    used, alike = _tuning.in_use(problem), _tuning.measured(problem)
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
        functions = compiled(problem, batch, arrays)
        _busy(functions, arrays)
        for blocks, function in zip(batch, functions, strict=True):
            seconds = float("inf")
            if function is not None:
                seconds = seconds_of(blocks, function, arrays, best)
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
        _busy([fastest], arrays)
        best = seconds_of(chosen, fastest, arrays, float("inf"))
        baseline = seconds_of(heuristic, first, arrays, float("inf"))
        if baseline <= best:
            best, chosen = baseline, heuristic
    return {
        "blocks": chosen,
        "microseconds": best * 1e6,
        "heuristic_microseconds": baseline * 1e6 if np.isfinite(baseline) else None,
        "tried": tried,
        "candidates": len(others) + 1,
    }


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0, or 1 where there is no GPU or a kernel could not be tuned."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tune", description=__doc__)
    parser.add_argument("--budget", type=float, default=500, help="seconds for all problems")
    parser.add_argument("--size", type=positive, default=256, help="side of the images")
    parser.add_argument("--channels", type=positive, default=64)
    parser.add_argument("--images", type=positive, nargs="+", default=[1, 8, 64], help="at once")
    parser.add_argument("--dtype", nargs="+", choices=DTYPES, default=list(DTYPES))
    parser.add_argument("--kernel", nargs="+", choices=KERNELS, help="default: all")
    parser.add_argument("--again", action="store_true", help="measure what the table has too")
    parser.add_argument("--most", type=positive, help="candidates of each problem at most")
    parser.add_argument("--folder", type=Path, default=_tuning.FOLDER, help="of the table")
    parser.add_argument(
        "--interpret", action="store_true", help="without a GPU: tries the tuner, not the kernels"
    )
    args = parser.parse_args(arguments)
    hold_little_memory()
    device = "interpret" if args.interpret else _tuning.device_name()
    if device is None:
        print("There is no GPU here: give --interpret to try the tuner itself.", file=sys.stderr)
        return 1
    path = _tuning.table_path(device, args.folder)
    table = _read(path)
    wanted = problems(args.size, args.channels, tuple(args.images), tuple(args.dtype))
    wanted = [p for p in wanted if not args.kernel or p.kernel in args.kernel]
    open_ones = [p for p in wanted if args.again or p.key not in table["entries"]]
    print(f"{device}: {len(open_ones)} of {len(wanted)} problems to measure; {path}")
    end, failed = time.perf_counter() + args.budget, 0
    with config(interpret=True) if args.interpret else nullcontext():
        for n, problem in enumerate(open_ones):
            left = end - time.perf_counter()
            if left <= 0 and n:
                print(
                    f"The budget is spent; {len(open_ones) - n} problems are left for a next run."
                )
                break
            try:
                entry = tune(problem, left / (len(open_ones) - n), args.most)
            except Exception as error:
                failed += 1
                print(f"{problem.key}: {error}", file=sys.stderr)
                continue
            table["entries"][problem.key] = entry
            command = "python -m benchmarks.tune " + " ".join(arguments)
            capability = None if args.interpret else _tuning.compute_capability()
            facts = {"compute_capability": capability, "metadata": metadata(command)}
            _write(path, {**table, "device": device, **facts})
            print(f"{problem.key}: {_told(entry)}", flush=True)
    _tuning.forget()
    return int(failed > 0)


def _told(entry: dict[str, Any]) -> str:
    text = f"{entry['microseconds']:.1f} µs with {entry['blocks']}"
    if entry["heuristic_microseconds"] is not None:
        text += f", {entry['heuristic_microseconds'] / entry['microseconds']:.2f}× the heuristic"
    return f"{text} ({entry['tried']} of {entry['candidates']})"


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {"entries": {}}
    return json.loads(path.read_text(encoding="utf-8"))


def _write(path: Path, table: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".json.tmp")
    temporary.write_text(json.dumps(table, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(temporary, path)


if __name__ == "__main__":
    sys.exit(main())
