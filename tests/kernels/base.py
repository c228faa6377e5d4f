"""What the tests of every operator and implementation share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from s3net_kernels import IMPLEMENTATIONS, OPERATORS, implementations
from s3net_kernels._arg_specs import ArgSpec
from s3net_kernels._evaluation import call as public
from s3net_kernels._evaluation import cotangent as make_cotangent
from s3net_kernels._evaluation import module, value_and_gradients
from s3net_kernels._evaluation import true_values as reference
from s3net_kernels._tolerance import EPSILON, relative_error, tolerance

__all__ = [
    "EPSILON",
    "assert_close",
    "assert_low_precision",
    "available",
    "cases",
    "errors",
    "make_cotangent",
    "module",
    "public",
    "reference",
    "relative_error",
    "skip_if_declined",
    "specs",
    "tolerance",
    "value_and_gradients",
]


def specs(operator: str) -> tuple[ArgSpec, ...]:
    """The operator's calls for tests."""
    return module(operator, "arg_specs").SPECS


def available(operator: str) -> list[str]:
    """The implementations to test on this machine: all but the reference."""
    reasons = implementations()[operator]
    return [name for name in IMPLEMENTATIONS if name != "reference" and reasons[name] is None]


def cases(choose: Callable[[ArgSpec], bool] = lambda spec: True) -> list[Any]:
    """(implementation, spec) of everything available, as pytest parameters."""
    return [
        pytest.param(name, spec, id=f"{operator}-{name}-{spec}")
        for operator in OPERATORS
        for name in available(operator)
        for spec in specs(operator)
        if choose(spec)
    ]


def skip_if_declined(spec: ArgSpec, implementation: str, args: Sequence[Any]) -> None:
    """Skip, with the reason, what the implementation says it does not serve."""
    reason = module(spec.operator, implementation).supports(*args, **spec.options)
    if reason is not None:
        pytest.skip(f"{implementation} declines: {reason}")


def errors(actual, expected) -> list[float]:
    """Relative error of the value and of every gradient."""
    assert len(actual) == len(expected)
    return [relative_error(a, e) for a, e in zip(actual, expected, strict=True)]


def assert_close(spec: ArgSpec, actual, expected, dtype) -> None:
    """Value and all gradients agree within the dtype's tolerance for the size of each sum."""
    names = ["value", *(f"gradient {n}" for n in range(len(expected) - 1))]
    terms = (spec.reduced, *spec.gradient_terms)
    for name, error, reduced in zip(names, errors(actual, expected), terms, strict=True):
        allowed = tolerance(dtype, reduced)
        assert error <= allowed, f"{name}: error {error:.2e}, allowed {allowed:.2e}"


def assert_low_precision(spec: ArgSpec, actual, expected, plain, dtype: str) -> None:
    """Errors at most twice those of the plain version that computes in the dtype itself."""
    found, limits = errors(actual, expected), errors(plain, expected)
    for n, (error, limit) in enumerate(zip(found, limits, strict=True)):
        allowed = max(2 * limit, EPSILON[dtype])
        assert error <= allowed, f"result {n}: error {error:.2e}, plain version {limit:.2e}"
