"""What the tests of every operator and implementation share."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import s3net_kernels
from s3net_kernels import IMPLEMENTATIONS, OPERATORS, implementations
from s3net_kernels._arg_specs import ArgSpec
from s3net_kernels._tolerance import EPSILON, relative_error, tolerance

SEED_OF_COTANGENT = 17


def module(operator: str, name: str):
    """``s3net_kernels.<operator>.<name>``."""
    return importlib.import_module(f"s3net_kernels.{operator}.{name}")


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


def public(spec: ArgSpec, implementation: str) -> Callable[..., jax.Array]:
    """The operator's public function, with the options of ``spec``."""
    operator = getattr(s3net_kernels, spec.operator)
    return functools.partial(operator, implementation=implementation, **spec.options)


def value_and_gradients(
    function: Callable[..., jax.Array], **compiler_options: Any
) -> Callable[..., list[jax.Array]]:
    """(cotangent, *args) -> [value, gradient of every leaf of args], in one compiled program."""

    def run(cotangent, *args):
        value, pull = jax.vjp(function, *args)
        return [value, *jax.tree.leaves(pull(cotangent))]

    return jax.jit(run, compiler_options=compiler_options)


@functools.cache
def _reference(operator: str, options: tuple, dtype: str | None) -> Callable[..., list[jax.Array]]:
    function = getattr(module(operator, "reference"), operator)
    extra = {} if dtype is None else {"dtype": jnp.dtype(dtype)}
    partial = functools.partial(function, **dict(options), **extra)
    # Quick to compile, which takes longer here than to run.
    return value_and_gradients(partial, xla_backend_optimization_level=0)


def reference(spec: ArgSpec, cotangent, args: Sequence[Any], dtype: str | None = None):
    """Value and gradients of the reference; in float64, or computing in ``dtype`` instead."""
    run = _reference(spec.operator, tuple(spec.options.items()), dtype)
    if spec.operator == "affine_warp":
        matrix = np.broadcast_to(args[1], (args[0].shape[0], 2, 3))
        value, dx, dmatrix = _numpy(run, cotangent, (args[0], matrix), dtype)
        return [value, dx, dmatrix if args[1].ndim == 3 else dmatrix.sum(0)]
    return _numpy(run, cotangent, args, dtype)


def _numpy(run, cotangent, args, dtype: str | None) -> list[np.ndarray]:
    if dtype is None:
        with jax.enable_x64(True):
            cotangent, args = jax.tree.map(lambda a: np.asarray(a, np.float64), (cotangent, args))
            return [np.asarray(a) for a in run(cotangent, *args)]
    return [np.asarray(a) for a in run(cotangent, *args)]


def make_cotangent(spec: ArgSpec, args: Sequence[Any]) -> np.ndarray:
    """A random cotangent of the call's result, in the dtype of x."""
    shape = jax.eval_shape(public(spec, "xla"), *args).shape
    random = np.random.default_rng(SEED_OF_COTANGENT)
    return random.normal(size=shape).astype(args[0].dtype)


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
