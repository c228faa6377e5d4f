"""Normalised linear layer in plain JAX: one operator after the other."""

from __future__ import annotations

from jax import Array

from s3net_kernels.batch_norm import xla as norm
from s3net_kernels.linear import xla as layer

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
    precision: str | None,
    through: bool,
) -> Array | tuple[Array, Array]:
    """See ``api.linear_norm``."""
    z = layer.linear(x, w, b, residual, activation=None, precision=precision, through=False)
    assert isinstance(z, Array)
    y = norm.batch_norm(z, scale, bias, epsilon=epsilon)
    return (y, x) if through else y
