"""Gradients by kernels, which can be differentiated again: what has no rule of its own is then
computed in plain JAX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.dtypes import float0

from s3net_kernels._platform import choose_by_platform
from s3net_kernels._residuals import keep_copies
from s3net_kernels._varying import zeros

__all__ = ["make_differentiable", "use_gradient"]


def use_gradient(plain: Callable[..., Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """Give ``function`` the gradient of ``plain``, which computes the same without kernels."""
    wrapped = jax.custom_vjp(function)
    wrapped.defvjp(
        # The wrapped function, not `function`: a gradient of the gradient differentiates this rule.
        keep_copies(lambda *args: (wrapped(*args), args)),
        lambda args, cotangents: jax.vjp(plain, *args)[1](cotangents),
    )
    return wrapped


def make_differentiable(
    plain: Callable[..., Any],
    value: Callable[..., tuple[Any, Any]],
    gradients: Callable[[Any, Any, Any], Any],
) -> Callable[..., Any]:
    """Make an operator of kernels of the CPU that can be differentiated any number of times.

    A program that is lowered for another platform computes it, and its gradient, in plain JAX.

    Args:
      plain: operands -> result, in plain JAX. It makes the derivatives beyond the first.
      value: (operands, save=bool) -> (result, what backward needs beside the operands if ``save``).
      gradients: (operands, what was kept, cotangents) -> the operands' gradients in their places,
        None for integers; cotangents of integers are None.
    """

    def run(operands: Any):
        return value(operands, save=True)

    def run_plain(operands: Any):
        # Nothing is differentiated through what is kept: the plain gradients ignore it.
        kept = jax.eval_shape(run, operands)[1]
        return plain(operands), jax.tree.map(lambda k: zeros(k.shape, k.dtype, operands), kept)

    def forward(operands: Any):
        result, kept = use_gradient(run_plain, choose_by_platform(run, run_plain))(operands)
        return result, (operands, kept)

    def backward(saved: tuple[Any, Any], cotangents: Any):
        kernels = choose_by_platform(gradients, plain_gradients)
        return (use_gradient(plain_gradients, kernels)(*saved, _drop_integers(cotangents)),)

    def plain_gradients(operands: Any, kept: Any, cotangents: Any):
        result, pull = jax.vjp(plain, operands)
        full = jax.tree.map(
            lambda leaf, c: np.zeros(leaf.shape, float0) if c is None else c, result, cotangents
        )
        return _drop_integers(pull(full)[0])

    operator = jax.custom_vjp(choose_by_platform(lambda o: value(o, save=False)[0], plain))
    operator.defvjp(keep_copies(forward), backward)
    return operator


def _drop_integers(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: None if leaf.dtype == float0 else leaf, tree)
