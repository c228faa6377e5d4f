"""Differentiate a depthwise convolution and its weight gradient in terms of each other.

The convolution is bilinear in image and kernel, and so is its weight gradient; the gradients of
each consist of both. An implementation passes the two functions, and gets them back
differentiable to every order.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from s3net_kernels._residuals import keep_copies

__all__ = ["Correlate", "WeightGrad", "make_differentiable"]

Correlate = Callable[[Array, Array, Array | None, int], Array]
"""(x, w, b, dilation) -> convolution of x, in the dtype of x."""

WeightGrad = Callable[[Array, Array, tuple[int, ...], int], Array]
"""(x, g, (kh, kw), dilation) -> dw[i,j,c] = Σ x[n, h + d·(i − kh//2), ...] · g[n,h,w,c], in the
widest dtype of the two, at least float32."""


def make_differentiable(
    correlate: Correlate, weight_grad: WeightGrad
) -> tuple[Correlate, WeightGrad]:
    """Give both functions custom reverse-mode gradients of every order."""
    convolution = jax.custom_vjp(correlate, nondiff_argnums=(3,))
    reduction = jax.custom_vjp(weight_grad, nondiff_argnums=(2, 3))

    def convolution_fwd(x: Array, w: Array, b: Array | None, dilation: int):
        # Only the dtype of the bias is needed, which cannot be a residual: keep an empty slice.
        return convolution(x, w, b, dilation), (x, w, None if b is None else b[:0])

    def convolution_bwd(dilation: int, saved: tuple[Array, Array, Array | None], g: Array):
        x, w, b = saved
        dx = convolution(g, w[::-1, ::-1], None, dilation)
        dw = reduction(x, g, w.shape[:2], dilation).astype(w.dtype)
        db = None if b is None else jnp.sum(g, (0, 1, 2), jnp.result_type(g, jnp.float32, b))
        return dx, dw, None if db is None or b is None else db.astype(b.dtype)

    def reduction_fwd(x: Array, g: Array, size: tuple[int, ...], dilation: int):
        return reduction(x, g, size, dilation), (x, g)

    def reduction_bwd(size: tuple[int, ...], dilation: int, saved: tuple[Array, Array], v: Array):
        x, g = saved
        dx = convolution(g, v[::-1, ::-1], None, dilation).astype(x.dtype)
        return dx, convolution(x, v, None, dilation).astype(g.dtype)

    convolution.defvjp(keep_copies(convolution_fwd), convolution_bwd)
    reduction.defvjp(keep_copies(reduction_fwd), reduction_bwd)
    return convolution, reduction
