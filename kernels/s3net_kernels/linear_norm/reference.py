"""Normalised linear layer, slow and obvious; gradients by automatic differentiation."""

from __future__ import annotations

from jax import Array

from s3net_kernels.batch_norm import reference as norm
from s3net_kernels.linear import reference as layer

__all__ = ["linear_norm", "supports"]


def supports(*args, **kwargs) -> str | None:
    """Serves every valid call."""


def linear_norm(
    x: Array,
    w: Array,
    b: Array | None,
    residual: Array | None,
    scale: Array,
    bias: Array,
    *,
    epsilon: float,
    precision: str | None = None,
    through: bool = False,
    dtype=None,
) -> Array | tuple[Array, Array]:
    """See ``api.linear_norm``; always at full precision, in ``dtype``."""
    z = layer.linear(x, w, b, residual, activation=None, dtype=dtype)
    assert isinstance(z, Array)
    y = norm.batch_norm(z, scale, bias, epsilon=epsilon, dtype=dtype)
    return (y, x) if through else y
