"""Linear layer in plain JAX: XLA fuses what follows the matrix product."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from s3net_kernels._check import compute_dtype
from s3net_kernels._residuals import keep_copies
from s3net_kernels.operands import Linear

__all__ = ["linear", "multiply"]


def linear(o: Linear) -> Array | tuple[Array, Array]:
    """See ``api.linear``."""
    kind = compute_dtype(o)
    y = multiply(o.x, o.w, kind, o.precision)
    if o.b is not None:
        y = y + o.b.astype(kind)
    if o.activation == "gelu":
        y = jax.nn.gelu(y, approximate=False)
    if o.residual is not None:
        y = y + o.residual.astype(kind)
    y = y.astype(o.x.dtype)
    return (y, o.x) if o.through else y


def multiply(x: Array, w: Array, kind, precision: str | None) -> Array:
    """Compute x @ w with sums in ``kind``; ``precision`` "bfloat16" rounds the factors."""
    if precision == "bfloat16" and kind == jnp.float32:
        rows = x.astype(kind).reshape(-1, x.shape[-1])
        return _multiply_rounded(rows, w.astype(kind)).reshape(*x.shape[:-1], w.shape[1])
    return jnp.matmul(x.astype(kind), w.astype(kind), preferred_element_type=kind)


@jax.custom_vjp
def _multiply_rounded(x: Array, w: Array) -> Array:
    """Multiply (M, K) @ (K, O) in float32 with factors rounded to bfloat16, also in the gradients,
    whose sums JAX's own transpose would round too."""
    factors = x.astype(jnp.bfloat16), w.astype(jnp.bfloat16)
    return jnp.matmul(*factors, preferred_element_type=jnp.float32)


def _forward(x: Array, w: Array):
    return _multiply_rounded(x, w), (x, w)


def _backward(saved: tuple[Array, Array], g: Array):
    x, w = saved
    return _multiply_rounded(g, w.T), _multiply_rounded(x.T, g)


_multiply_rounded.defvjp(keep_copies(_forward), _backward)
