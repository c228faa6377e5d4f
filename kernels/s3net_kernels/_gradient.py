"""Gradients by kernels, which can be differentiated again: what has no rule of its own is then
computed in plain JAX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.dtypes import float0

from s3net_kernels._platform import on_cpu
from s3net_kernels._residuals import owning
from s3net_kernels._varying import zeros

__all__ = ["differentiable", "with_gradient_of"]


def with_gradient_of(plain: Callable[..., Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` with the gradient of ``plain``, which computes the same without kernels."""
    wrapped = jax.custom_vjp(function)
    wrapped.defvjp(
        # The wrapped function, not `function`: a gradient of the gradient differentiates this rule.
        owning(lambda *args: (wrapped(*args), args)),
        lambda args, cotangents: jax.vjp(plain, *args)[1](cotangents),
    )
    return wrapped


def differentiable(
    plain: Callable[..., Any],
    value: Callable[..., tuple[Any, Any]],
    gradients: Callable[[Any, Any, Any], Any],
) -> Callable[..., Any]:
    """An operator by kernels of the CPU, in reverse mode differentiable as often as one likes.

    A program that is lowered for another platform computes it, and its gradient, in plain JAX.

    Args:
      plain: (*inputs) -> result, in plain JAX. Its are the derivatives beyond the first.
      value: (*inputs, save=bool) -> (result, what backward needs beside the inputs if ``save``).
      gradients: (inputs, what was kept, cotangents) -> a gradient for each input, None for
        integers; cotangents of integers are None.
    """

    def forward(*inputs: Any):
        def plain_value(*inputs: Any):
            # Nothing is differentiated through what is kept: the plain gradients ignore it.
            kept = jax.eval_shape(run, *inputs)[1]
            return plain(*inputs), jax.tree.map(lambda k: zeros(k.shape, k.dtype, inputs), kept)

        def run(*inputs: Any):
            return value(*inputs, save=True)

        result, kept = with_gradient_of(plain_value, on_cpu(run, plain_value))(*inputs)
        return result, (inputs, kept)

    def backward(saved: tuple[Any, Any], cotangents: Any):
        kernels = on_cpu(gradients, plain_gradients)
        return with_gradient_of(plain_gradients, kernels)(*saved, _none_of_integers(cotangents))

    def plain_gradients(inputs: Any, kept: Any, cotangents: Any):
        result, pull = jax.vjp(plain, *inputs)
        full = jax.tree.map(
            lambda leaf, c: np.zeros(leaf.shape, float0) if c is None else c, result, cotangents
        )
        return _none_of_integers(pull(full))

    operator = jax.custom_vjp(on_cpu(lambda *inputs: value(*inputs, save=False)[0], plain))
    operator.defvjp(owning(forward), backward)
    return operator


def _none_of_integers(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: None if leaf.dtype == float0 else leaf, tree)
