"""Normalised linear layer on the CPU: one operator after the other, each in C++."""

from __future__ import annotations

from jax import Array

from s3net_kernels._native import unavailable, unsupported
from s3net_kernels.batch_norm import native as norm
from s3net_kernels.linear import native as layer

__all__ = ["linear_norm", "supports", "unavailable"]


def supports(
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
) -> str | None:
    """Serves every valid call on the CPU."""
    return unsupported(x, w, b, residual, scale, bias)


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
    options = {"activation": None, "precision": precision, "through": through}
    found = layer.linear(x, w, b, residual, **options)
    z, same = found if isinstance(found, tuple) else (found, x)
    y = norm.batch_norm(z, scale, bias, epsilon=epsilon)
    return (y, same) if through else y
