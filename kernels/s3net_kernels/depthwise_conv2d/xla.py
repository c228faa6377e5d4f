"""Depthwise convolution in plain JAX: a sum of shifted products, in one fusion.

``lax.conv`` with one group per channel is avoided: on the CPU it is 15–40 times slower, and
``vmap`` over kernels would turn it into a grouped convolution.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array, lax

from s3net_kernels._check import compute_dtype
from s3net_kernels._dispatch import platform_of

__all__ = ["depthwise_conv2d", "supports"]

_ROWS = 16
"""Rows of a block of the weight gradient: a block stays in the cache for all the taps."""


def supports(*args, **kwargs) -> str | None:
    """Serves every valid call."""


def depthwise_conv2d(x: Array, w: Array, b: Array | None, *, dilation: int) -> Array:
    """See ``api.depthwise_conv2d``."""
    kind = compute_dtype(x, w, b)
    y = _correlate(x, w.astype(kind), dilation)
    return (y if b is None else y + b.astype(kind)).astype(x.dtype)


# Both functions below are bilinear, and the gradients of each are made of both: so they can be
# differentiated as often as one likes.


def _shifted_sum(x: Array, w: Array, dilation: int) -> Array:
    """Sum of shifted products, in the dtype of ``w``."""
    height, width = x.shape[1:3]
    padded, rows, columns = _pad(x, w.shape[:2], dilation)
    y = jnp.zeros((), w.dtype)
    for i, top in rows:
        for j, left in columns:
            window = padded[:, top : top + height, left : left + width]
            y = y + window.astype(w.dtype) * w[i, j]
    return y


_correlate = jax.custom_vjp(_shifted_sum, nondiff_argnums=(2,))


def _correlate_fwd(x: Array, w: Array, dilation: int):
    return _correlate(x, w, dilation), (x, w)


def _correlate_bwd(dilation: int, saved: tuple[Array, Array], g: Array):
    x, w = saved
    dx = _correlate(g, w[::-1, ::-1], dilation).astype(x.dtype)
    return dx, _weight_grad(x, g, w.shape[:2], dilation)


_correlate.defvjp(_correlate_fwd, _correlate_bwd)


def _tap_sums(x: Array, g: Array, size: tuple[int, ...], dilation: int) -> Array:
    """dw[i,j,c] = Σ x[n, h + d·(i − kh//2), w + d·(j − kw//2), c] · g[n,h,w,c]."""
    height, width, channels = g.shape[1:]
    padded, rows, columns = _pad(x, size, dilation)

    def block(dw: Array, start: Array | int, count: int) -> Array:
        part = lax.dynamic_slice_in_dim(g, start, count, 1)

        def kernel_row(i: Array, dw: Array) -> Array:
            window = lax.dynamic_slice_in_dim(padded, start + i * dilation, count, 1)
            shifts = [window[:, :, left : left + width] for _, left in columns]
            taps = [jnp.sum(shifted.astype(g.dtype) * part, (0, 1, 2)) for shifted in shifts]
            return dw.at[i].add(jnp.stack(taps))

        return lax.fori_loop(0, len(rows), kernel_row, dw)

    # Elsewhere than on the CPU, the fewest turns of a loop are best.
    length = min(_ROWS, height) if platform_of() == "cpu" else height
    whole, rest = divmod(height, length)
    dw = jnp.zeros((len(rows), len(columns), channels), g.dtype)
    dw = lax.fori_loop(0, whole, lambda n, dw: block(dw, n * length, length), dw)
    if rest:
        dw = block(dw, whole * length, rest)
    # Taps that never touch the image were left out: their gradient is zero.
    (top, _), (left, _) = rows[0], columns[0]
    below, right = size[0] - top - len(rows), size[1] - left - len(columns)
    return jnp.pad(dw, ((top, below), (left, right), (0, 0)))


_weight_grad = jax.custom_vjp(_tap_sums, nondiff_argnums=(2, 3))


def _weight_grad_fwd(x: Array, g: Array, size: tuple[int, ...], dilation: int):
    return _weight_grad(x, g, size, dilation), (x, g)


def _weight_grad_bwd(size: tuple[int, ...], dilation: int, saved: tuple[Array, Array], v: Array):
    x, g = saved
    dx = _correlate(g, v[::-1, ::-1], dilation).astype(x.dtype)
    return dx, _correlate(x, v, dilation)


_weight_grad.defvjp(_weight_grad_fwd, _weight_grad_bwd)


def _pad(x: Array, size: tuple[int, ...], dilation: int):
    """Zero padded ``x``, and (tap, start of its window) of the taps that touch the image."""

    def axis(taps: int, length: int) -> tuple[int, list[tuple[int, int]]]:
        reach = min(taps // 2, (length - 1) // dilation)
        first = taps // 2 - reach
        return reach * dilation, [(first + n, n * dilation) for n in range(2 * reach + 1)]

    py, rows = axis(size[0], x.shape[1])
    px, columns = axis(size[1], x.shape[2])
    return jnp.pad(x, ((0, 0), (py, py), (px, px), (0, 0))), rows, columns
