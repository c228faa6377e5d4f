"""Linear layer in plain JAX: XLA fuses what follows the matrix product."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from s3net_kernels._check import compute_dtype

__all__ = ["linear", "product", "supports"]


def supports(*args, **kwargs) -> str | None:
    """Serves every valid call."""


def linear(
    x: Array,
    w: Array,
    b: Array | None,
    residual: Array | None,
    *,
    activation: str | None,
    precision: str | None,
    through: bool,
) -> Array | tuple[Array, Array]:
    """See ``api.linear``."""
    kind = compute_dtype(x, w, b, residual)
    y = product(x, w, kind, precision)
    if b is not None:
        y = y + b.astype(kind)
    if activation == "gelu":
        y = jax.nn.gelu(y, approximate=False)
    if residual is not None:
        y = y + residual.astype(kind)
    y = y.astype(x.dtype)
    return (y, x) if through else y


def product(x: Array, w: Array, kind, precision: str | None) -> Array:
    """x @ w with sums in ``kind``; factors rounded to bfloat16 if so asked."""
    narrow = precision == "bfloat16" and kind == jnp.float32
    factor = jnp.bfloat16 if narrow else kind
    return jnp.matmul(x.astype(factor), w.astype(factor), preferred_element_type=kind)
