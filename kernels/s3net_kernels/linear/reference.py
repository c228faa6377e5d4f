"""Linear layer, slow and obvious; gradients by automatic differentiation."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from s3net_kernels._check import compute_dtype

__all__ = ["linear", "supports"]


def supports(*args, **kwargs) -> str | None:
    """Serves every valid call."""


def linear(
    x: Array,
    w: Array,
    b: Array | None,
    residual: Array | None,
    *,
    activation: str | None,
    precision: str | None = None,
    through: bool = False,
    dtype=None,
) -> Array | tuple[Array, Array]:
    """See ``api.linear``; always at full precision, in ``dtype``."""
    kind = dtype or compute_dtype(x, w, b, residual)
    y = jnp.matmul(x.astype(kind), w.astype(kind), precision="highest")
    if b is not None:
        y = y + b.astype(kind)
    if activation == "gelu":
        y = y * (1 + jax.lax.erf(y * 0.5**0.5)) / 2
    if residual is not None:
        y = y + residual.astype(kind)
    y = y.astype(x.dtype)
    return (y, x) if through else y
