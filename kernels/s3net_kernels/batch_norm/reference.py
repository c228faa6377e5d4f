"""Batch normalisation, slow and obvious; gradients by automatic differentiation."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from s3net_kernels._check import compute_dtype
from s3net_kernels.operands import BatchNorm

__all__ = ["batch_norm"]


def batch_norm(o: BatchNorm, dtype=None) -> Array:
    """See ``api.batch_norm``, in ``dtype``."""
    kind = dtype or compute_dtype(o)
    rows = o.x.reshape(-1, o.x.shape[-1]).astype(kind)
    mean = jnp.mean(rows, 0)
    variance = jnp.mean((rows - mean) ** 2, 0)
    y = (rows - mean) / jnp.sqrt(variance + o.epsilon) * o.scale.astype(kind) + o.bias.astype(kind)
    return y.reshape(o.x.shape).astype(o.x.dtype)
