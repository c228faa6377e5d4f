"""Deformable convolution, slow and obvious; gradients by automatic differentiation."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax

from s3net_kernels._bilinear import pixel_grid
from s3net_kernels._check import compute_dtype
from s3net_kernels.bilinear_sample.reference import bilinear_sample

__all__ = ["deform_conv2d", "supports"]


def supports(*args, **kwargs) -> str | None:
    """Serves every valid call."""


def deform_conv2d(x: Array, offset: Array, mask: Array, w: Array, b: Array | None) -> Array:
    """See ``api.deform_conv2d``: tap by tap, samples, weighs and multiplies."""
    kind = compute_dtype(x, offset, mask, w, b)
    kh, kw, _, features = w.shape
    rows, columns = pixel_grid(x.shape[1], x.shape[2], kind)
    y = jnp.zeros((*x.shape[:3], features), kind)
    if b is not None:
        y = y + b.astype(kind)
    for i in range(kh):
        for j in range(kw):
            tap = i * kw + j
            row = rows - kh // 2 + i + offset[..., 2 * tap].astype(kind)
            column = columns - kw // 2 + j + offset[..., 2 * tap + 1].astype(kind)
            coords = jnp.stack([row, column], -1)
            value = bilinear_sample(x.astype(kind), coords, boundary="zeros")
            value = value * mask[..., tap, None].astype(kind)
            y = y + jnp.matmul(value, w[i, j].astype(kind), precision=lax.Precision.HIGHEST)
    return y.astype(x.dtype)
