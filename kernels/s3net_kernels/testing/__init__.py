"""Test and benchmark an implementation of an operator, such as your own.

>>> import jax
>>> import s3net_kernels as sk
>>> from s3net_kernels.testing import benchmark, check_implementation
>>> def convolve(o):
...     y = jax.lax.conv_general_dilated(
...         o.x, o.w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
...     )
...     return y if o.b is None else y + o.b
>>> sk.register_implementation("conv2d", "lax", convolve)
>>> len(check_implementation("conv2d", "lax", specs=sk.testing.list_specs("conv2d")[:2]))
2
>>> rows = benchmark("conv2d", ["lax", "xla"], sk.testing.list_specs("conv2d")[1], repeats=2)
>>> [(row["implementation"], row["direction"]) for row in rows[:2]]
[('lax', 'forward'), ('xla', 'forward')]
>>> sk.unregister_implementation("conv2d", "lax")

:func:`list_specs` describes the calls that an operator is tested with, and
:class:`ArgSpec` one call, from which it makes arguments of any seed and dtype.
:func:`compute_reference` computes a call's true value and gradients in float64, and
:func:`tolerance` returns how far a result of a dtype may differ from them.
"""

from __future__ import annotations

from s3net_kernels.testing.arg_specs import Arg, ArgSpec
from s3net_kernels.testing.benchmarks import DIRECTIONS, benchmark, compile_calls, time_calls
from s3net_kernels.testing.checks import (
    Check,
    assert_close,
    assert_low_precision,
    check_implementation,
    compute_errors,
)
from s3net_kernels.testing.evaluation import (
    compute_reference,
    list_benchmarks,
    list_specs,
    load_module,
    make_cotangent,
    make_function,
    value_and_gradients,
)
from s3net_kernels.testing.timing import (
    Timing,
    describe_error,
    interleave,
    make_timer,
    ratio,
    summarise,
    take_turns,
)
from s3net_kernels.testing.tolerance import EPSILON, relative_error, tolerance

__all__ = [
    "DIRECTIONS",
    "EPSILON",
    "Arg",
    "ArgSpec",
    "Check",
    "Timing",
    "assert_close",
    "assert_low_precision",
    "benchmark",
    "check_implementation",
    "compile_calls",
    "compute_errors",
    "compute_reference",
    "describe_error",
    "interleave",
    "list_benchmarks",
    "list_specs",
    "load_module",
    "make_cotangent",
    "make_function",
    "make_timer",
    "ratio",
    "relative_error",
    "summarise",
    "take_turns",
    "time_calls",
    "tolerance",
    "value_and_gradients",
]
