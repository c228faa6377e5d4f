"""Batch normalisation, slow and obvious; gradients by automatic differentiation."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from s3net_kernels._check import compute_dtype

__all__ = ["batch_norm", "supports"]


def supports(*args, **kwargs) -> str | None:
    """Serves every valid call."""


def batch_norm(x: Array, scale: Array, bias: Array, *, epsilon: float, dtype=None) -> Array:
    """See ``api.batch_norm``, in ``dtype``."""
    kind = dtype or compute_dtype(x, scale, bias)
    rows = x.reshape(-1, x.shape[-1]).astype(kind)
    mean = jnp.mean(rows, 0)
    variance = jnp.mean((rows - mean) ** 2, 0)
    y = (rows - mean) / jnp.sqrt(variance + epsilon) * scale.astype(kind) + bias.astype(kind)
    return y.reshape(x.shape).astype(x.dtype)
