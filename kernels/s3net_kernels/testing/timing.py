"""Time calls: interleaved, synchronised, with median and interquartile range."""

from __future__ import annotations

import functools
import math
import statistics
import time
from collections.abc import Callable
from typing import Any

from s3net_kernels._platform import find_platform

__all__ = [
    "Timing",
    "describe_error",
    "interleave",
    "make_timer",
    "ratio",
    "summarise",
    "take_turns",
]

Timing = dict[str, float]


_IN_A_ROW = 20
_SHORT = 0.02
"""Seconds that a run of at most _IN_A_ROW consecutive calls may take."""
_ROUNDS = 3
"""Minimum number of repeats, however long they take."""


def interleave(
    candidates: dict[str, Callable[[], object]],
    *,
    repeats: int,
    warm: int = 1,
    limit_s: float = math.inf,
    left_out: dict[str, str] | None = None,
) -> dict[str, list[float]]:
    """Time ``repeats`` calls of every candidate in turns; return their times in seconds.

    Candidates alternate because a machine's speed drifts: calls are compared with their
    neighbours in time, not block with block. A candidate must return only when its work is done
    (synchronise inside).

    Args:
      candidates: name → function without arguments.
      repeats: number of timed calls of each candidate.
      warm: number of untimed calls of each before (compilation, caches).
      limit_s: seconds after which a candidate stops, but not before three repeats.
      left_out: dict that receives the name of a failing candidate and its error, while the others
        continue; None raises the error.
    """

    def measure(call: Callable[[], object]) -> float:
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    turns = {name: (lambda call=call: measure(call)) for name, call in candidates.items()}
    return take_turns(turns, repeats=repeats, warm=warm, limit_s=limit_s, left_out=left_out)


def take_turns(
    candidates: dict[str, Callable[[], float]],
    *,
    repeats: int,
    warm: int = 1,
    limit_s: float = math.inf,
    left_out: dict[str, str] | None = None,
) -> dict[str, list[float]]:
    """Take turns as :func:`interleave`, with candidates that return a call's seconds."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}

    def take(name: str) -> float | None:
        try:
            return candidates[name]()
        except Exception as error:
            if left_out is None:
                raise
            left_out[name] = describe_error(error)
            del seconds[name]
            return None

    for name in candidates:
        for _ in range(warm):
            if name in seconds:
                take(name)
    for n in range(repeats):
        for name in list(seconds):
            if n < _ROUNDS or sum(seconds[name]) <= limit_s:
                taken = take(name)
                if taken is not None:
                    seconds[name].append(taken)
    return seconds


def describe_error(error: Exception) -> str:
    """Describe in one line why a candidate failed."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200]


def make_timer(launch: Callable[[], Any], wait: Callable[[Any], object]) -> Callable[[], float]:
    """Make a function that calls something and returns its time in seconds, for :func:`take_turns`.

    On a GPU it launches short calls several times before it waits. This matches a step, where
    launching one kernel is hidden behind the run of another.

    Args:
      launch: function that starts the work and returns what to wait for.
      wait: function that waits for the last result of ``launch``.
    """

    def take(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count - 1):
            launch()
        wait(launch())
        return (time.perf_counter() - start) / count

    @functools.cache
    def count() -> int:
        if find_platform() != "gpu":
            return 1
        take(1)
        return max(1, min(_IN_A_ROW, int(_SHORT / take(1))))

    return lambda: take(count())


def summarise(seconds: list[float]) -> Timing:
    """Summarise timings: median, quartiles, minimum and number."""
    if len(seconds) == 1:
        low = high = seconds[0]
    else:
        low, _, high = statistics.quantiles(seconds, n=4, method="inclusive")
    return {
        "median_s": statistics.median(seconds),
        "q1_s": low,
        "q3_s": high,
        "min_s": min(seconds),
        "repeats": len(seconds),
    }


def ratio(slow: list[float], fast: list[float]) -> Timing:
    """Compute the speed-up of ``fast``: median and quartiles of the quotients of paired calls.

    Calls are paired with their neighbours in time. If one was called more often, its last calls
    are ignored.
    """
    quotients = [s / f for s, f in zip(slow, fast, strict=False)]
    summary = summarise(quotients)
    return {"median": summary["median_s"], "q1": summary["q1_s"], "q3": summary["q3_s"]}
