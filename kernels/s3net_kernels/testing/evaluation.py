"""Compute values and gradients of the calls that argument specs describe."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from s3net_kernels._registry import check_operator
from s3net_kernels.operands import OPERANDS
from s3net_kernels.testing.arg_specs import ArgSpec

__all__ = [
    "compute_reference",
    "list_benchmarks",
    "list_specs",
    "load_module",
    "make_cotangent",
    "make_function",
    "require_operator",
    "value_and_gradients",
]

_SEED_OF_COTANGENT = 17


def load_module(operator: str, name: str) -> ModuleType:
    """Import ``s3net_kernels.<operator>.<name>``, such as an operator's ``arg_specs``."""
    check_operator(operator)
    return importlib.import_module(f"s3net_kernels.{operator}.{name}")


def list_specs(operator: str) -> tuple[ArgSpec, ...]:
    """List the calls that an operator is tested with, which are small and of awkward shapes.

    The last ones may have ``x`` in bfloat16; the others are float32.
    """
    found = load_module(operator, "arg_specs")
    return found.SPECS or found.CHECKS


def list_benchmarks(operator: str) -> tuple[ArgSpec, ...]:
    """List the calls that an operator is timed with: the network's, at 256 by 256 pixels."""
    return load_module(operator, "arg_specs").BENCHMARKS


def require_operator(spec: ArgSpec, operator: str) -> None:
    """Raise ValueError unless ``spec`` describes a call of ``operator``."""
    if spec.operator != operator:
        raise ValueError(f"The spec {spec} describes a call of {spec.operator}, not {operator}.")


def make_function(spec: ArgSpec, implementation: str | None) -> Callable[..., jax.Array]:
    """Make a function that calls the operator with the options of ``spec`` and returns one array.

    Args:
      spec: call to make.
      implementation: name of an implementation, or None for the best one.

    Returns:
      A function of ``spec.make()``. For ``softmax_losses``, it returns the two sums, stacked.
    """
    operator = getattr(load_module(spec.operator, "api"), spec.operator)
    function = functools.partial(operator, implementation=implementation, **spec.options)
    if spec.operator == "softmax_losses":
        return lambda *args: jnp.stack(function(*args)[:2])
    return function


def value_and_gradients(
    function: Callable[..., jax.Array], **compiler_options: Any
) -> Callable[..., list[jax.Array]]:
    """Make (cotangent, *args) -> [value, gradient of every leaf of args], in one compiled program.

    Args:
      function: (*args) -> array.
      **compiler_options: options of ``jax.jit``'s compiler.
    """

    def run(cotangent, *args):
        value, pull = jax.vjp(function, *args)
        return [value, *jax.tree.leaves(pull(cotangent))]

    return jax.jit(run, compiler_options=compiler_options)


def make_cotangent(spec: ArgSpec, args: Sequence[Any]) -> np.ndarray:
    """Draw a random cotangent of the call's result, in its dtype; the same on every call."""
    result = jax.eval_shape(make_function(spec, "xla"), *args)
    random = np.random.default_rng(_SEED_OF_COTANGENT)
    return random.normal(size=result.shape).astype(result.dtype)


@functools.cache
def _make_reference(
    operator: str, options: tuple, dtype: str | None
) -> Callable[..., list[jax.Array]]:
    reference = getattr(load_module(operator, "reference"), operator)

    def run(*args):
        operands = OPERANDS[operator](*args, **dict(options))
        found = reference(operands, None if dtype is None else jnp.dtype(dtype))
        return jnp.stack(found[:2]) if operator == "softmax_losses" else found

    # No optimisation: compiling takes longer than running here.
    return value_and_gradients(run, xla_backend_optimization_level=0)


def compute_reference(
    spec: ArgSpec, g: Any, args: Sequence[Any], dtype: str | None = None
) -> list[np.ndarray]:
    """Compute a call's value and gradients with the reference, in float64 on the CPU.

    Args:
      spec: call to compute.
      g: cotangent of its result, as from :func:`make_cotangent`.
      args: arguments of the call, as from ``spec.make()``.
      dtype: dtype to compute in instead of float64.

    Returns:
      The value, then the gradient of every array in ``args``, in order.
    """
    run = _make_reference(spec.operator, tuple(spec.options.items()), dtype)
    if spec.operator == "affine_warp":
        matrix = np.broadcast_to(args[1], (args[0].shape[0], 2, 3))
        value, dx, dmatrix = _run_exactly(run, g, (args[0], matrix), dtype)
        return [value, dx, dmatrix if args[1].ndim == 3 else dmatrix.sum(0)]
    return _run_exactly(run, g, args, dtype)


def _run_exactly(run, g, args, dtype: str | None) -> list[np.ndarray]:
    # Use the CPU: a GPU's matrix products may round their factors.
    with jax.default_device(jax.devices("cpu")[0]):
        if dtype is None:
            with jax.enable_x64(True):
                g, args = jax.tree.map(lambda a: np.asarray(a, np.float64), (g, args))
                return [np.asarray(a) for a in run(g, *args)]
        return [np.asarray(a) for a in run(g, *args)]
