"""Depthwise convolution in plain JAX: a sum of shifted products in one fusion.

``lax.conv`` with one group per channel is avoided: it is 15 to 40 times slower on a CPU, and
``vmap`` over kernels would turn it into a grouped convolution.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from s3net_kernels._check import compute_dtype
from s3net_kernels._platform import find_platform
from s3net_kernels._varying import zeros
from s3net_kernels.depthwise_conv2d.gradient import make_differentiable
from s3net_kernels.operands import DepthwiseConv2d

__all__ = ["depthwise_conv2d"]

_ROWS = 16
"""Rows of a block of the weight gradient: a block stays in the cache for all taps."""


def depthwise_conv2d(o: DepthwiseConv2d) -> Array:
    """See ``api.depthwise_conv2d``."""
    return _convolve(o.x, o.w, o.b, o.dilation)


def _correlate(x: Array, w: Array, b: Array | None, dilation: int) -> Array:
    kind = compute_dtype(x, w, b)
    height, width = x.shape[1:3]
    padded, rows, columns = _pad(x, w.shape[:2], dilation)
    y = jnp.zeros((), kind) if b is None else b.astype(kind)
    if len(rows) < w.shape[0] or len(columns) < w.shape[1]:
        # Taps that never touch the image are skipped below. They contribute zeros times their
        # weights: 0, or NaN for a weight that is not finite, as other taps do in the padding.
        left_out = np.ones((*w.shape[:2], 1), bool)
        left_out[rows[0][0] : rows[-1][0] + 1, columns[0][0] : columns[-1][0] + 1] = False
        y = y + jnp.sum(jnp.where(left_out, w.astype(kind) * 0, 0), (0, 1))
    for i, top in rows:
        for j, left in columns:
            window = padded[:, top : top + height, left : left + width]
            y = y + window.astype(kind) * w[i, j].astype(kind)
    return y.astype(x.dtype)


def _weight_grad(x: Array, g: Array, size: tuple[int, ...], dilation: int) -> Array:
    kind = compute_dtype(x, g)
    height, width, channels = g.shape[1:]
    padded, rows, columns = _pad(x, size, dilation)

    def block(dw: Array, start: Array | int, count: int) -> Array:
        part = lax.dynamic_slice_in_dim(g, start, count, 1).astype(kind)

        def kernel_row(i: Array, dw: Array) -> Array:
            window = lax.dynamic_slice_in_dim(padded, start + i * dilation, count, 1)
            shifts = [window[:, :, left : left + width] for _, left in columns]
            taps = [jnp.sum(shifted.astype(kind) * part, (0, 1, 2)) for shifted in shifts]
            return dw.at[i].add(jnp.stack(taps))

        return lax.fori_loop(0, len(rows), kernel_row, dw)

    # Elsewhere than on a CPU, a loop with the fewest iterations is fastest.
    length = min(_ROWS, height) if find_platform() == "cpu" else height
    whole, rest = divmod(height, length)
    dw = zeros((len(rows), len(columns), channels), kind, x, g)
    dw = lax.fori_loop(0, whole, lambda n, dw: block(dw, n * length, length), dw)
    if rest:
        dw = block(dw, whole * length, rest)
    # Taps that never touch the image were skipped; their gradient is zero.
    (top, _), (left, _) = rows[0], columns[0]
    below, right = size[0] - top - len(rows), size[1] - left - len(columns)
    return jnp.pad(dw, ((top, below), (left, right), (0, 0)))


_convolve, _ = make_differentiable(_correlate, _weight_grad)


def _pad(x: Array, size: tuple[int, ...], dilation: int):
    """Pad ``x`` with zeros; return it with (tap, window start) of the taps that touch the image."""

    def axis(taps: int, length: int) -> tuple[int, list[tuple[int, int]]]:
        reach = min(taps // 2, (length - 1) // dilation)
        first = taps // 2 - reach
        return reach * dilation, [(first + n, n * dilation) for n in range(2 * reach + 1)]

    py, rows = axis(size[0], x.shape[1])
    px, columns = axis(size[1], x.shape[2])
    return jnp.pad(x, ((0, 0), (py, py), (px, px), (0, 0))), rows, columns
