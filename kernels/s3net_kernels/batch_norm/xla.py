"""Batch normalisation in plain JAX."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from s3net_kernels._check import compute_dtype
from s3net_kernels.operands import BatchNorm

__all__ = ["batch_norm"]


def batch_norm(o: BatchNorm) -> Array:
    """See ``api.batch_norm``."""
    kind = compute_dtype(o)
    mean, rstd = _sum_statistics(o.x.astype(kind), o.epsilon)
    y = (o.x.astype(kind) - mean) * (rstd * o.scale.astype(kind)) + o.bias.astype(kind)
    return y.astype(o.x.dtype)


def _sum_statistics(x: Array, epsilon: float) -> tuple[Array, Array]:
    axes = tuple(range(x.ndim - 1))
    count = max(x.size // max(x.shape[-1], 1), 1)  # zeros instead of NaN without rows
    mean = jnp.sum(x, axes) / count
    variance = jnp.sum(jnp.square(x - mean), axes) / count
    return mean, jax.lax.rsqrt(variance + epsilon)
