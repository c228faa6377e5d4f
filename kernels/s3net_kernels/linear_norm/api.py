"""Define the public function of the normalised linear layer."""

from __future__ import annotations

from typing import Literal, overload

import jax
from jax import Array
from jax.typing import ArrayLike

from s3net_kernels._check import require, to_flag, to_float, to_not_negative
from s3net_kernels._dispatch import dispatch
from s3net_kernels.linear.api import check_precision, widen
from s3net_kernels.operands import LinearNorm

__all__ = ["linear_norm"]


@overload
def linear_norm(
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None,
    residual: ArrayLike | None,
    scale: ArrayLike,
    bias: ArrayLike,
    *,
    epsilon: float = 1e-5,
    precision: str | None = None,
    through: Literal[False] = False,
    implementation: str | None = None,
) -> Array: ...
@overload
def linear_norm(
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None,
    residual: ArrayLike | None,
    scale: ArrayLike,
    bias: ArrayLike,
    *,
    epsilon: float = 1e-5,
    precision: str | None = None,
    through: Literal[True],
    implementation: str | None = None,
) -> tuple[Array, Array]: ...
def linear_norm(
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None,
    residual: ArrayLike | None,
    scale: ArrayLike,
    bias: ArrayLike,
    *,
    epsilon: float = 1e-5,
    precision: str | None = None,
    through: bool = False,
    implementation: str | None = None,
) -> Array | tuple[Array, Array]:
    """Compute ``batch_norm(linear(x, w, b, residual), scale, bias)`` in fewer passes.

    z[..., o] = Σ_k x[..., k] · w[k, o] + b[o] + residual[..., o], and
    y[..., o] = (z[..., o] − mean[o]) / √(variance[o] + ε) · scale[o] + bias[o], with mean and
    biased variance of z over all axes but the last. In between, z is rounded to the dtype of
    ``x``, or of a wider residual.

    Args:
      x: floating point array (..., K) with at least two axes.
      w: floating point matrix (K, O).
      b: floating point bias (O,), or None. Subtracting the mean cancels it, so its gradient is
        zero up to rounding.
      residual: floating point array (..., O) to add, or None.
      scale: floating point factors (O,).
      bias: floating point summands (O,).
      epsilon: non-negative ε.
      precision: precision of float32 products; see ``linear``.
      through: whether to return x too, for another reader; see ``linear``.
      implementation: name of an implementation; None selects the best one.

    Returns:
      Result (..., O) in the dtype of ``x``, computed in the widest dtype of the arguments, at
      least float32. With ``through``, a pair of the result and ``x``.

    Raises:
      ValueError: shapes that do not match, a negative ``epsilon``, or an unknown precision.
      TypeError: an argument that is not floating point.
      UnsupportedError: the named implementation cannot serve the call.
    """
    name = "linear_norm"
    x, w, scale, bias = (
        to_float(name, label, value)
        for label, value in (("x", x), ("w", w), ("scale", scale), ("bias", bias))
    )
    b = None if b is None else to_float(name, "b", b)
    require(
        x.ndim >= 2,
        f"{name}: x has shape {x.shape}, expected (..., K) with at least one axis of rows.",
    )
    require(
        w.ndim == 2 and w.shape[0] == x.shape[-1],
        f"{name}: w has shape {w.shape}, expected ({x.shape[-1]}, O) for x of shape {x.shape}.",
    )
    outputs = w.shape[1]
    for label, array in (("b", b), ("scale", scale), ("bias", bias)):
        shape = (outputs,) if array is None else array.shape
        require(
            shape == (outputs,),
            f"{name}: {label} has shape {shape}, expected ({outputs},): one number per output.",
        )
    if residual is not None:
        residual = to_float(name, "residual", residual)
        require(
            residual.shape == (*x.shape[:-1], outputs),
            f"{name}: residual has shape {residual.shape}, expected that of the result, "
            f"{(*x.shape[:-1], outputs)}.",
        )
    epsilon = to_not_negative(name, "epsilon", epsilon)
    through = to_flag(name, "through", through)
    check_precision(name, precision)
    options = {"epsilon": epsilon, "precision": precision, "through": through}
    operands = LinearNorm(widen(x, residual), w, b, residual, scale, bias, **options)
    found = dispatch(name, implementation, operands)
    return jax.tree.map(lambda a: a.astype(x.dtype), found)
