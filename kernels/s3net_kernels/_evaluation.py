"""Values and gradients of the calls that argument specs describe, and their true ones.

Shared by the tests, the benchmarks and the tuner.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import s3net_kernels
from s3net_kernels._arg_specs import ArgSpec

__all__ = ["call", "cotangent", "module", "true_values", "value_and_gradients"]

_SEED_OF_COTANGENT = 17


def module(operator: str, name: str) -> ModuleType:
    """``s3net_kernels.<operator>.<name>``."""
    return importlib.import_module(f"s3net_kernels.{operator}.{name}")


def call(spec: ArgSpec, implementation: str | None) -> Callable[..., jax.Array]:
    """The operator's public function, with the options of ``spec``; one array as its result.

    Of the losses' several results it is the two sums.
    """
    operator = getattr(s3net_kernels, spec.operator)
    function = functools.partial(operator, implementation=implementation, **spec.options)
    if spec.operator == "softmax_losses":
        return lambda *args: jnp.stack(function(*args)[:2])
    return function


def value_and_gradients(
    function: Callable[..., jax.Array], **compiler_options: Any
) -> Callable[..., list[jax.Array]]:
    """(cotangent, *args) -> [value, gradient of every leaf of args], in one compiled program."""

    def run(cotangent, *args):
        value, pull = jax.vjp(function, *args)
        return [value, *jax.tree.leaves(pull(cotangent))]

    return jax.jit(run, compiler_options=compiler_options)


def cotangent(spec: ArgSpec, args: Sequence[Any]) -> np.ndarray:
    """A random cotangent of the call's result, in its dtype."""
    result = jax.eval_shape(call(spec, "xla"), *args)
    random = np.random.default_rng(_SEED_OF_COTANGENT)
    return random.normal(size=result.shape).astype(result.dtype)


@functools.cache
def _reference(operator: str, options: tuple, dtype: str | None) -> Callable[..., list[jax.Array]]:
    function = getattr(module(operator, "reference"), operator)
    extra = {} if dtype is None else {"dtype": jnp.dtype(dtype)}
    partial = functools.partial(function, **dict(options), **extra)
    if operator == "softmax_losses":
        losses = partial

        def partial(logits):
            return jnp.stack(losses(logits, None, None)[:2])

    # Quick to compile, which takes longer here than to run.
    return value_and_gradients(partial, xla_backend_optimization_level=0)


def true_values(spec: ArgSpec, g: Any, args: Sequence[Any], dtype: str | None = None):
    """Value and gradients of the reference; in float64, or computing in ``dtype`` instead.

    Args:
      spec: the call.
      g: cotangent of its result.
      args: its arguments.
      dtype: in place of float64.
    """
    run = _reference(spec.operator, tuple(spec.options.items()), dtype)
    if spec.operator == "affine_warp":
        matrix = np.broadcast_to(args[1], (args[0].shape[0], 2, 3))
        value, dx, dmatrix = _numpy(run, g, (args[0], matrix), dtype)
        return [value, dx, dmatrix if args[1].ndim == 3 else dmatrix.sum(0)]
    return _numpy(run, g, args, dtype)


def _numpy(run, g, args, dtype: str | None) -> list[np.ndarray]:
    # The CPU: a GPU's matrix products have other precisions to choose from.
    with jax.default_device(jax.devices("cpu")[0]):
        if dtype is None:
            with jax.enable_x64(True):
                g, args = jax.tree.map(lambda a: np.asarray(a, np.float64), (g, args))
                return [np.asarray(a) for a in run(g, *args)]
        return [np.asarray(a) for a in run(g, *args)]
