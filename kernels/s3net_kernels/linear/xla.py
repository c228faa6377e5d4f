"""Linear layer in plain JAX: XLA fuses what follows the matrix product."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from s3net_kernels._check import compute_dtype
from s3net_kernels._residuals import owning

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
    if precision == "bfloat16" and kind == jnp.float32:
        rows = x.astype(kind).reshape(-1, x.shape[-1])
        return _narrow(rows, w.astype(kind)).reshape(*x.shape[:-1], w.shape[1])
    return jnp.matmul(x.astype(kind), w.astype(kind), preferred_element_type=kind)


@jax.custom_vjp
def _narrow(x: Array, w: Array) -> Array:
    """float32 (M, K) @ (K, O) of factors rounded to bfloat16; so are its gradients, whose sums
    JAX's own transpose would round too."""
    factors = x.astype(jnp.bfloat16), w.astype(jnp.bfloat16)
    return jnp.matmul(*factors, preferred_element_type=jnp.float32)


def _narrow_fwd(x: Array, w: Array):
    return _narrow(x, w), (x, w)


def _narrow_bwd(saved: tuple[Array, Array], g: Array):
    x, w = saved
    return _narrow(g, w.T), _narrow(x.T, g)


_narrow.defvjp(owning(_narrow_fwd), _narrow_bwd)
