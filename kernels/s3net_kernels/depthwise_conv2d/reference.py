"""Depthwise convolution, slow and obvious; gradients by automatic differentiation."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax

from s3net_kernels._check import compute_dtype
from s3net_kernels._varying import zeros
from s3net_kernels.operands import DepthwiseConv2d

__all__ = ["depthwise_conv2d"]


def depthwise_conv2d(o: DepthwiseConv2d, dtype=None) -> Array:
    """See ``api.depthwise_conv2d``; pad with zeros and sum tap by tap, in ``dtype``."""
    x, w, b, kind = o.x, o.w, o.b, dtype or compute_dtype(o)
    kh, kw, channels = w.shape
    py, px = kh // 2 * o.dilation, kw // 2 * o.dilation
    padded = jnp.pad(x.astype(kind), ((0, 0), (py, py), (px, px), (0, 0)))

    def tap(y: Array, weight_and_start: tuple[Array, Array, Array]):
        weight, top, left = weight_and_start
        return y + lax.dynamic_slice(padded, (0, top, left, 0), x.shape) * weight, None

    top, left = jnp.meshgrid(jnp.arange(kh), jnp.arange(kw), indexing="ij")
    taps = (
        w.reshape(-1, channels).astype(kind),
        top.ravel() * o.dilation,
        left.ravel() * o.dilation,
    )
    y, _ = lax.scan(tap, zeros(x.shape, kind, x, taps), taps)
    return (y if b is None else y + b.astype(kind)).astype(x.dtype)
