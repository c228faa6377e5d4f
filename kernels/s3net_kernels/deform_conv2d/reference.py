"""Deformable convolution, slow and obvious; gradients by automatic differentiation."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax

from s3net_kernels._bilinear import make_pixel_grid
from s3net_kernels._check import compute_dtype
from s3net_kernels._varying import zeros
from s3net_kernels.bilinear_sample.reference import bilinear_sample
from s3net_kernels.operands import BilinearSample, DeformConv2d

__all__ = ["deform_conv2d"]


def deform_conv2d(o: DeformConv2d, dtype=None) -> Array:
    """See ``api.deform_conv2d``; sample, weight and multiply tap by tap.

    ``dtype`` replaces the dtype of values; coordinates keep theirs.
    """
    x, offset, mask, w, b = o.x, o.offset, o.mask, o.w, o.b
    wide = compute_dtype(o)
    kind = dtype or wide
    kh, kw, channels, features = w.shape
    image = x.shape[:3]
    rows, columns = make_pixel_grid(x.shape[1], x.shape[2], wide)
    centre = jnp.stack(jnp.broadcast_arrays(rows - kh // 2, columns - kw // 2), -1)

    def tap(y: Array, one: tuple[Array, Array, Array, Array]):
        place, shift, factor, weight = one
        coords = centre + place + shift
        value = bilinear_sample(BilinearSample(x.astype(kind), coords), dtype=kind)
        value = value * factor[..., None]
        return y + jnp.matmul(value, weight, precision=lax.Precision.HIGHEST), None

    places = jnp.stack(jnp.meshgrid(jnp.arange(kh), jnp.arange(kw), indexing="ij"), -1)
    taps = (
        places.reshape(-1, 2).astype(wide),
        jnp.moveaxis(offset.reshape(*image, kh * kw, 2), 3, 0).astype(wide),
        jnp.moveaxis(mask, 3, 0).astype(kind),
        w.reshape(-1, channels, features).astype(kind),
    )
    y, _ = lax.scan(tap, zeros((*image, features), kind, x, taps), taps)
    return (y if b is None else y + b.astype(kind)).astype(x.dtype)
