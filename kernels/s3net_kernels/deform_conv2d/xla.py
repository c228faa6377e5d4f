"""Deformable convolution in plain JAX: gathers, and one matrix product.

Backward gathers the four neighbours of each tap once more and takes from them the columns (for
dw) and the gradients of mask and offset together: keeping the columns would cost kh·kw feature
maps of memory between forward and backward.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from s3net_kernels._bilinear import (
    Corner,
    add_rows,
    corners,
    interpolate,
    pixel_grid,
    take_rows,
)
from s3net_kernels._check import compute_dtype

__all__ = ["deform_conv2d", "supports"]


def supports(*args, **kwargs) -> str | None:
    """Serves every valid call."""


def deform_conv2d(x: Array, offset: Array, mask: Array, w: Array, b: Array | None) -> Array:
    """See ``api.deform_conv2d``."""
    kind = compute_dtype(x, offset, mask, w, b)
    y = _deform(x, offset.astype(kind), mask.astype(kind), w.astype(kind))
    return (y if b is None else y + b.astype(kind)).astype(x.dtype)


@jax.custom_vjp
def _deform(x: Array, offset: Array, mask: Array, w: Array) -> Array:
    """Without bias, in the dtype of ``w``."""
    around = _taps(offset, x.shape, w.shape)
    columns = interpolate(x.reshape(-1, x.shape[3]), around, w.dtype, mask)
    return _flat(columns) @ w.reshape(-1, w.shape[3])


def _deform_fwd(x: Array, offset: Array, mask: Array, w: Array):
    return _deform(x, offset, mask, w), (x, offset, mask, w)


def _deform_bwd(saved: tuple[Array, Array, Array, Array], g: Array):
    x, offset, mask, w = saved
    rows = x.reshape(-1, x.shape[3])
    around = _taps(offset, x.shape, w.shape)
    columns = interpolate(rows, around, w.dtype, mask)
    dw = jnp.einsum("nhwk,nhwo->ko", _flat(columns), g).reshape(w.shape)
    dcolumns = (g @ w.reshape(-1, w.shape[3]).T).reshape(columns.shape)
    dmask = dy = dx = jnp.zeros((), w.dtype)
    for corner in around:
        product = jnp.sum(take_rows(rows, corner.row).astype(w.dtype) * dcolumns, -1)
        dmask = dmask + product * corner.weight
        dy, dx = dy + product * corner.dy, dx + product * corner.dx
    doffset = jnp.stack([dy * mask, dx * mask], -1).reshape(offset.shape)
    drows = add_rows(rows.shape, around, dcolumns * mask[..., None])
    return drows.reshape(x.shape).astype(x.dtype), doffset, dmask, dw


_deform.defvjp(_deform_fwd, _deform_bwd)


def _taps(offset: Array, shape: tuple[int, ...], kernel: tuple[int, ...]) -> tuple[Corner, ...]:
    """Corners of every tap of every pixel, each (N, H, W, kh·kw)."""
    (batch, height, width, _), (kh, kw, _, _) = shape, kernel
    kind = offset.dtype
    rows, columns = pixel_grid(height, width, kind)
    i, j = pixel_grid(kh, kw, kind)
    base_y = rows[..., None] + jnp.broadcast_to(i - kh // 2, (kh, kw)).reshape(-1)
    base_x = columns[..., None] + jnp.broadcast_to(j - kw // 2, (kh, kw)).reshape(-1)
    pairs = offset.reshape(*offset.shape[:3], kh * kw, 2)
    return corners(base_y + pairs[..., 0], base_x + pairs[..., 1], (batch, height, width))


def _flat(columns: Array) -> Array:
    """(N, H, W, kh·kw, C) as (N, H, W, kh·kw·C)."""
    *image, taps, channels = columns.shape
    return columns.reshape(*image, taps * channels)
