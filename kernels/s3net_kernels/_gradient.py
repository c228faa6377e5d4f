"""Give kernels gradients that can be differentiated again, in plain JAX where no kernel exists."""

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
        # Wrap the wrapped function: a gradient of the gradient must find this rule again.
        keep_copies(lambda *args: (wrapped(*args), args)),
        lambda args, cotangents: jax.vjp(plain, *args)[1](cotangents),
    )
    return wrapped


def make_differentiable(
    plain: Callable[..., Any],
    value: Callable[..., tuple[Any, Any]],
    gradients: Callable[[Any, Any, Any], Any],
) -> Callable[..., Any]:
    """Make an operator of CPU kernels that can be differentiated any number of times.

    A program lowered for another platform computes the operator and its gradient in plain JAX.

    Args:
      plain: (operands) -> result, in plain JAX; also defines the derivatives beyond the first.
      value: (operands, save=bool) -> (result, residuals); if ``save``, the residuals are what the
        backward pass needs besides the operands.
      gradients: (operands, residuals, cotangents) -> gradients in the operands' places, None for
        integers; cotangents of integers are None.
    """

    def run(operands: Any):
        return value(operands, save=True)

    def run_plain(operands: Any):
        # The plain gradients ignore the residuals, so their values are irrelevant.
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
