"""Depthwise convolution, slow and obvious; gradients by automatic differentiation."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from s3net_kernels._check import compute_dtype

__all__ = ["depthwise_conv2d", "supports"]


def supports(*args, **kwargs) -> str | None:
    """Serves every valid call."""


def depthwise_conv2d(x: Array, w: Array, b: Array | None, *, dilation: int) -> Array:
    """See ``api.depthwise_conv2d``: pads with zeros and sums over the taps."""
    kind = compute_dtype(x, w, b)
    (kh, kw, _), (height, width) = w.shape, x.shape[1:3]
    py, px = kh // 2 * dilation, kw // 2 * dilation
    padded = jnp.pad(x.astype(kind), ((0, 0), (py, py), (px, px), (0, 0)))
    y = jnp.zeros(x.shape, kind) if b is None else jnp.broadcast_to(b.astype(kind), x.shape)
    for i in range(kh):
        for j in range(kw):
            top, left = i * dilation, j * dilation
            window = padded[:, top : top + height, left : left + width]
            y = y + window * w[i, j].astype(kind)
    return y.astype(x.dtype)
