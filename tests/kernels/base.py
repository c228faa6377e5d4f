"""What the tests of every operator and implementation share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from s3net_kernels import IMPLEMENTATIONS, OPERATORS, explain, implementations
from s3net_kernels.testing import (
    EPSILON,
    ArgSpec,
    assert_close,
    assert_low_precision,
    make_cotangent,
    relative_error,
    tolerance,
    value_and_gradients,
)
from s3net_kernels.testing import compute_errors as errors
from s3net_kernels.testing import compute_reference as reference
from s3net_kernels.testing import load_module as module
from s3net_kernels.testing import make_function as public

__all__ = [
    "EPSILON",
    "assert_close",
    "assert_low_precision",
    "cases",
    "errors",
    "list_available",
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


def list_available(operator: str) -> list[str]:
    """The implementations to test on this machine: all but the reference."""
    reasons = implementations()[operator]
    return [name for name in IMPLEMENTATIONS if name != "reference" and reasons[name] is None]


def cases(choose: Callable[[ArgSpec], bool] = lambda spec: True) -> list[Any]:
    """(implementation, spec) of everything available, as pytest parameters."""
    return [
        pytest.param(name, spec, id=f"{operator}-{name}-{spec}")
        for operator in OPERATORS
        for name in list_available(operator)
        for spec in specs(operator)
        if choose(spec)
    ]


def skip_if_declined(spec: ArgSpec, implementation: str, args: Sequence[Any]) -> None:
    """Skip, with the reason, what the implementation says it does not serve."""
    options: Any = {"implementation": implementation, **spec.options}
    reason = explain(spec.operator, *args, **options).reasons[implementation]
    if reason is not None:
        pytest.skip(f"{implementation} declines: {reason}")
