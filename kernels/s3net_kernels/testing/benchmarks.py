"""Time calls of an operator, by implementation and direction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from s3net_kernels._dispatch import UnsupportedError
from s3net_kernels._registry import implementations
from s3net_kernels.testing.arg_specs import ArgSpec
from s3net_kernels.testing.evaluation import (
    list_benchmarks,
    make_function,
    require_operator,
    value_and_gradients,
)
from s3net_kernels.testing.timing import make_timer, summarise, take_turns

__all__ = ["DIRECTIONS", "benchmark", "compile_calls", "time_calls"]

DIRECTIONS = ("forward", "forward and backward")
Timers = Mapping[str, Callable[[], float]]


def compile_calls(spec: ArgSpec, implementation: str | None, args: Sequence[Any]) -> Timers:
    """Compile a call in both directions.

    Args:
      spec: the call.
      implementation: name of the implementation, or None for the best one.
      args: arguments of the call, on the device.

    Returns:
      Direction → a function that runs the call once and returns its time in seconds; empty if the
      implementation declines the call.
    """
    function = make_function(spec, implementation)
    try:
        value = jax.eval_shape(function, *args)
    except UnsupportedError:
        return {}
    g = jnp.asarray(np.random.default_rng(0).normal(size=value.shape), value.dtype)
    forward = jax.jit(function).lower(*args).compile()
    both = value_and_gradients(function).lower(g, *args).compile()
    return {
        DIRECTIONS[0]: make_timer(lambda: forward(*args), jax.block_until_ready),
        DIRECTIONS[1]: make_timer(lambda: both(g, *args), jax.block_until_ready),
    }


def time_calls(
    built: Mapping[str, Timers], *, repeats: int, limit_s: float
) -> Iterator[tuple[str, dict[str, list[float]]]]:
    """Time several implementations in turns; yield (direction, seconds by implementation).

    Args:
      built: implementation → result of :func:`compile_calls`; empty ones are left out.
      repeats: number of timed calls; see :func:`take_turns`.
      limit_s: seconds after which a slow implementation stops; see :func:`take_turns`.
    """
    for direction in DIRECTIONS:
        calls = {name: timers[direction] for name, timers in built.items() if timers}
        yield direction, take_turns(calls, repeats=repeats, limit_s=limit_s)


def benchmark(
    operator: str,
    implementations: Sequence[str] | None = None,
    spec: ArgSpec | None = None,
    *,
    dtype: str | None = None,
    repeats: int = 7,
    limit_s: float = 10.0,
) -> list[dict[str, Any]]:
    """Time the implementations of an operator side by side, with alternating calls.

    Args:
      operator: name of the operator.
      implementations: names of implementations; by default all available ones except the
        reference.
      spec: call to time; by default the first of :func:`list_benchmarks`.
      dtype: dtype of ``x`` instead of the spec's own.
      repeats: number of timed calls of each implementation.
      limit_s: seconds after which a slow implementation is no longer repeated.

    Returns:
      A row for each direction and implementation that serves the call: its names, and median,
      quartiles and minimum in seconds (see :func:`summarise`).
    Raises:
      ValueError: an unknown operator or implementation, or a spec of another operator.
    """
    spec = list_benchmarks(operator)[0] if spec is None else spec
    require_operator(spec, operator)
    names = _list_available(operator) if implementations is None else implementations
    args = jax.tree.map(jnp.asarray, spec.make(dtype=dtype))
    built = {name: compile_calls(spec, name, args) for name in names}
    shared = {"operator": operator, "call": spec.name, "dtype": args[0].dtype.name}
    return [
        {**shared, "direction": direction, "implementation": name, **summarise(values)}
        for direction, seconds in time_calls(built, repeats=repeats, limit_s=limit_s)
        for name, values in seconds.items()
    ]


def _list_available(operator: str) -> list[str]:
    reasons = implementations()[operator]
    return [name for name, reason in reasons.items() if reason is None and name != "reference"]
