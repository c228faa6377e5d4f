"""Compare an implementation with the reference, in value and gradients of every call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from s3net_kernels._dispatch import explain
from s3net_kernels.testing.arg_specs import ArgSpec
from s3net_kernels.testing.evaluation import (
    compute_reference,
    list_specs,
    make_cotangent,
    make_function,
    require_operator,
    value_and_gradients,
)
from s3net_kernels.testing.tolerance import EPSILON, relative_error, tolerance

__all__ = [
    "Check",
    "assert_close",
    "assert_low_precision",
    "check_implementation",
    "compute_errors",
]


class Check(NamedTuple):
    """One call that an implementation was checked with, or declined."""

    spec: ArgSpec
    dtype: str
    """Dtype of ``x``."""
    declined: str | None
    """Why the implementation cannot serve the call, or None."""
    errors: tuple[float, ...]
    """Relative errors of the value and of each gradient; empty if it declined."""


def check_implementation(
    operator: str,
    implementation: str,
    *,
    specs: Sequence[ArgSpec] | None = None,
    dtype: str | None = None,
    seed: int = 0,
) -> list[Check]:
    """Check an implementation against the reference, in value and all gradients.

    The reference computes in float64. A float32 or float64 result may differ by the tolerance for
    its dtype and number of summed terms; a 16-bit result by twice the error of the reference
    computed in that dtype.

    Args:
      operator: name of the operator.
      implementation: name of the implementation, registered or of the package.
      specs: calls to check; by default those of :func:`list_specs`.
      dtype: dtype of ``x`` instead of each spec's own; float64 needs ``jax.enable_x64``.
      seed: seed of the arguments' values.

    Returns:
      A :class:`Check` for each call, including declined calls.

    Raises:
      AssertionError: a value or gradient is wrong (the call is named), or all calls are declined.
      ValueError: an unknown operator or implementation, or a spec of another operator.
    """
    checks = []
    for spec in list_specs(operator) if specs is None else specs:
        require_operator(spec, operator)
        args = spec.make(seed, dtype)
        kind = args[0].dtype.name
        named: Any = {"implementation": implementation, **spec.options}
        declined = explain(operator, *args, **named).reasons[implementation]
        errors: tuple[float, ...] = ()
        if declined is None:
            cotangent = make_cotangent(spec, args)
            run = value_and_gradients(make_function(spec, implementation))
            actual, expected = run(cotangent, *args), compute_reference(spec, cotangent, args)
            errors = tuple(compute_errors(actual, expected))
            try:
                if kind in ("float32", "float64"):
                    assert_close(spec, actual, expected, kind)
                else:
                    plain = compute_reference(spec, cotangent, args, kind)
                    assert_low_precision(spec, actual, expected, plain, kind)
            except AssertionError as error:
                message = f"{operator} by {implementation}, {spec} in {kind}: {error}"
                raise AssertionError(message) from error
        checks.append(Check(spec, kind, declined, errors))
    if checks and all(check.declined for check in checks):
        raise AssertionError(f"{operator} by {implementation} declines: {checks[0].declined}.")
    return checks


def compute_errors(actual: Sequence[Any], expected: Sequence[Any]) -> list[float]:
    """Compute the relative error of the value and of every gradient."""
    assert len(actual) == len(expected), f"{len(actual)} results, not {len(expected)}"
    return [relative_error(a, e) for a, e in zip(actual, expected, strict=True)]


def assert_close(spec: ArgSpec, actual: Any, expected: Any, dtype: Any) -> None:
    """Assert that value and gradients agree within the tolerance for the length of each sum.

    Args:
      spec: call that was made.
      actual: value and gradients, as from :func:`value_and_gradients`.
      expected: true value and gradients, as from :func:`compute_reference`.
      dtype: dtype that ``actual`` was computed in.
    """
    names = ["value", *(f"gradient {n}" for n in range(len(expected) - 1))]
    terms, errors = (spec.reduced, *spec.gradient_terms), compute_errors(actual, expected)
    for name, error, reduced in zip(names, errors, terms, strict=True):
        allowed = tolerance(dtype, reduced)
        assert error <= allowed, f"{name}: error {error:.2e}, allowed {allowed:.2e}"


def assert_low_precision(spec: ArgSpec, actual: Any, expected: Any, plain: Any, dtype: str) -> None:
    """Assert that errors are at most twice those of the plain version computed in ``dtype``.

    Args:
      spec: call that was made.
      actual: value and gradients; see :func:`assert_close`.
      expected: true value and gradients; see :func:`assert_close`.
      plain: result of ``compute_reference(..., dtype)``.
      dtype: 16-bit dtype.
    """
    found, limits = compute_errors(actual, expected), compute_errors(plain, expected)
    for n, (error, limit) in enumerate(zip(found, limits, strict=True)):
        allowed = max(2 * limit, EPSILON[dtype])
        assert error <= allowed, f"result {n}: error {error:.2e}, plain version {limit:.2e}"
