"""Linear layer, slow and obvious; gradients by automatic differentiation."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from s3net_kernels._check import compute_dtype
from s3net_kernels.operands import Linear

__all__ = ["linear"]


def linear(o: Linear, dtype=None) -> Array | tuple[Array, Array]:
    """See ``api.linear``; always at full precision, in ``dtype``."""
    kind = dtype or compute_dtype(o)
    y = jnp.matmul(o.x.astype(kind), o.w.astype(kind), precision="highest")
    if o.b is not None:
        y = y + o.b.astype(kind)
    if o.activation == "gelu":
        y = y * (1 + jax.lax.erf(y * 0.5**0.5)) / 2
    if o.residual is not None:
        y = y + o.residual.astype(kind)
    y = y.astype(o.x.dtype)
    return (y, o.x) if o.through else y
