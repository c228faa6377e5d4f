"""Deformable convolution in plain JAX: gathers and a matrix product over chunks of pixels.

The columns (the samples of all taps) of all pixels at once would occupy kh·kw feature maps; those
of a thousand pixels fit in the cache. The backward pass gathers the four neighbours of each tap
again, and computes from them the columns for dw and the gradients of mask and offset.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from s3net_kernels._bilinear import (
    Corner,
    add_rows,
    find_corners,
    interpolate,
    make_pixel_grid,
    take_rows,
)
from s3net_kernels._check import compute_dtype
from s3net_kernels._platform import find_platform
from s3net_kernels._residuals import keep_copies
from s3net_kernels._varying import zeros
from s3net_kernels.operands import DeformConv2d

__all__ = ["deform_conv2d"]

_PIXELS = {"cpu": 1024}
"""Pixels of a chunk: what the cache holds on a CPU; elsewhere enough to fill the device."""


def deform_conv2d(o: DeformConv2d) -> Array:
    """See ``api.deform_conv2d``."""
    kind = compute_dtype(o)
    y = _deform(o.x, o.offset.astype(kind), o.mask.astype(kind), o.w.astype(kind))
    return (y if o.b is None else y + o.b.astype(kind)).astype(o.x.dtype)


@jax.custom_vjp
def _deform(x: Array, offset: Array, mask: Array, w: Array) -> Array:
    """Compute the convolution without bias, in the dtype of ``w``."""
    rows, offset, mask = _flatten_pixels(x), _flatten_pixels(offset), _flatten_pixels(mask)
    kernel = _flatten_taps(w)

    def chunk(_: None, pixel: Array, offset: Array, mask: Array):
        around = _find_taps(pixel, offset, x.shape, w.shape)
        return None, _flatten_columns(interpolate(rows, around, w.dtype, mask)) @ kernel

    _, y = _map_chunks(chunk, None, offset, mask)
    return y.reshape(*x.shape[:3], w.shape[3])


def _deform_fwd(x: Array, offset: Array, mask: Array, w: Array):
    return _deform(x, offset, mask, w), (x, offset, mask, w)


def _deform_bwd(saved: tuple[Array, Array, Array, Array], g: Array):
    x, offset, mask, w = saved
    rows, kernel = _flatten_pixels(x), _flatten_taps(w)

    def chunk(sums: tuple[Array, Array], pixel: Array, offset: Array, mask: Array, g: Array):
        drows, dkernel = sums
        around = _find_taps(pixel, offset, x.shape, w.shape)
        columns = interpolate(rows, around, w.dtype, mask)
        dkernel = dkernel + _flatten_columns(columns).T @ g
        dcolumns = (g @ kernel.T).reshape(columns.shape)
        dmask = dy = dx = jnp.zeros((), w.dtype)
        for corner in around:
            product = jnp.sum(take_rows(rows, corner).astype(w.dtype) * dcolumns, -1)
            product = jnp.where(corner.inside, product, 0)
            dmask = dmask + product * corner.weight
            dy, dx = dy + product * corner.dy, dx + product * corner.dx
        doffset = jnp.stack([dy * mask, dx * mask], -1).reshape(offset.shape)
        drows = add_rows(drows, around, dcolumns * mask[..., None])
        return (drows, dkernel), (doffset, dmask)

    start = (zeros(rows.shape, w.dtype, g), zeros(kernel.shape, w.dtype, g))
    pixelwise = (_flatten_pixels(offset), _flatten_pixels(mask), _flatten_pixels(g))
    (drows, dkernel), (doffset, dmask) = _map_chunks(chunk, start, *pixelwise)
    dx = drows.reshape(x.shape).astype(x.dtype)
    return dx, doffset.reshape(offset.shape), dmask.reshape(mask.shape), dkernel.reshape(w.shape)


_deform.defvjp(keep_copies(_deform_fwd), _deform_bwd)


def _find_taps(pixel: Array, offset: Array, shape: tuple, kernel: tuple) -> tuple[Corner, ...]:
    """Find the corners of every tap of every pixel, (P, kh·kw) each, for offsets (P, 2·kh·kw)."""
    (_, height, width, _), (kh, kw, _, _) = shape, kernel
    kind = offset.dtype
    image, place = pixel // (height * width), pixel % (height * width)
    i, j = (side.reshape(-1) for side in jnp.broadcast_arrays(*make_pixel_grid(kh, kw, kind)))
    y = (place // width)[:, None].astype(kind) + (i - kh // 2) + offset[:, 0::2]
    x = (place % width)[:, None].astype(kind) + (j - kw // 2) + offset[:, 1::2]
    return find_corners(image[:, None], y, x, (height, width))


def _map_chunks(body: Callable[..., tuple[Any, Any]], carry: Any, *arrays: Array):
    """Run ``carry, out = body(carry, pixel, *parts)`` over chunks of the arrays' first axis.

    Args:
      body: function of the carry, the int32 indices of the chunk's pixels, and the chunk's parts.
      carry: initial carry.
      *arrays: arrays to divide into chunks.

    Returns:
      The last carry, and the concatenated outputs.
    """
    pixels = arrays[0].shape[0]
    length = min(_PIXELS.get(find_platform(), 1 << 16), max(pixels, 1))
    whole, rest = divmod(pixels, length)
    outputs = []
    if whole == 1:
        carry, out = body(carry, jnp.arange(length, dtype=jnp.int32), *(a[:length] for a in arrays))
        outputs.append(out)
    elif whole:
        parts = [a[: whole * length].reshape(whole, length, *a.shape[1:]) for a in arrays]
        starts = jnp.arange(whole, dtype=jnp.int32) * length
        within = jnp.arange(length, dtype=jnp.int32)
        carry, out = lax.scan(
            lambda carry, part: body(carry, part[0] + within, *part[1:]), carry, (starts, *parts)
        )
        outputs.append(jax.tree.map(lambda a: a.reshape(whole * length, *a.shape[2:]), out))
    if rest or not whole:
        start = whole * length
        index = jnp.arange(start, pixels, dtype=jnp.int32)
        carry, out = body(carry, index, *(a[start:] for a in arrays))
        outputs.append(out)
    if len(outputs) == 1:
        return carry, outputs[0]
    return carry, jax.tree.map(lambda *a: jnp.concatenate(a), *outputs)


def _flatten_pixels(a: Array) -> Array:
    """Reshape (N, H, W, C) to (N·H·W, C)."""
    batch, height, width, channels = a.shape
    return a.reshape(batch * height * width, channels)


def _flatten_taps(w: Array) -> Array:
    """Reshape (kh, kw, Cin, Cout) to (kh·kw·Cin, Cout)."""
    kh, kw, channels, features = w.shape
    return w.reshape(kh * kw * channels, features)


def _flatten_columns(columns: Array) -> Array:
    """Reshape (P, kh·kw, C) to (P, kh·kw·C)."""
    pixels, taps, channels = columns.shape
    return columns.reshape(pixels, taps * channels)
