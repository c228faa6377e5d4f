"""Define the public function of the batch normalisation."""

from __future__ import annotations

from jax import Array
from jax.typing import ArrayLike

from s3net_kernels._check import require, to_float, to_not_negative
from s3net_kernels._dispatch import dispatch
from s3net_kernels.operands import BatchNorm

__all__ = ["batch_norm"]


def batch_norm(
    x: ArrayLike,
    scale: ArrayLike,
    bias: ArrayLike,
    *,
    epsilon: float = 1e-5,
    implementation: str | None = None,
) -> Array:
    """Normalise every channel by its own mean and variance over all other axes.

    y[..., c] = (x[..., c] − mean[c]) / √(variance[c] + ε) · scale[c] + bias[c], with the biased
    variance. The statistics are those of ``x`` itself, and the gradient passes through them. Under
    ``vmap`` each member of the batch has its own statistics.

    Args:
      x: floating point array (..., C) with at least two axes.
      scale: floating point factors (C,).
      bias: floating point summands (C,).
      epsilon: non-negative ε.
      implementation: name of an implementation; None selects the best one.

    Returns:
      Normalised array (..., C) in the dtype of ``x``, computed in the widest dtype of the
      arguments, at least float32.

    Raises:
      ValueError: shapes that do not match, or a negative ``epsilon``.
      TypeError: an argument that is not floating point.
      UnsupportedError: the named implementation cannot serve the call.
    """
    name = "batch_norm"
    x, scale, bias = (
        to_float(name, label, value)
        for label, value in (("x", x), ("scale", scale), ("bias", bias))
    )
    require(
        x.ndim >= 2,
        f"{name}: x has shape {x.shape}, expected (..., C) with at least one axis of rows.",
    )
    for label, array in (("scale", scale), ("bias", bias)):
        require(
            array.shape == x.shape[-1:],
            f"{name}: {label} has shape {array.shape}, expected {x.shape[-1:]}: one number per "
            "channel of x.",
        )
    epsilon = to_not_negative(name, "epsilon", epsilon)
    return dispatch(name, implementation, BatchNorm(x, scale, bias, epsilon=epsilon))
