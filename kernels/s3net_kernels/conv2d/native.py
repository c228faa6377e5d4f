"""Dense convolution on the CPU: patches gathered into the cache; see ``kernels/csrc/conv2d``.

The library stores kernels with their columns first. The gradients by x and by the kernel are
separate calls, so that a program that needs only one of them does not compute the other.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from jax import Array

from s3net_kernels._gradient import make_differentiable
from s3net_kernels._native import (
    call,
    choose_scratch_dtype,
    convert,
    count_packed_columns,
    rounds_factors,
    supports,
    unavailable,
)
from s3net_kernels._varying import zeros
from s3net_kernels.conv2d import xla
from s3net_kernels.operands import Conv2d

__all__ = ["conv2d", "supports", "unavailable"]

_BAND_ROWS = 8
"""Rows whose weight gradient is summed at once: ``kConvBandRows`` of the library."""


def conv2d(o: Conv2d) -> Array:
    """See ``api.conv2d``."""
    return _make_convolution(rounds_factors())(convert(o)).astype(o.x.dtype)


@functools.cache
def _make_convolution(low: bool) -> Callable[[Conv2d], Array]:
    def value(o: Conv2d, *, save: bool):
        return _convolve(low, o.x, o.w, o.b), ()

    return make_differentiable(xla.conv2d, value, functools.partial(_compute_gradients, low))


def _convolve(low: bool, x: Array, w: Array, b: Array | None) -> Array:
    kh, kw, channels, features = w.shape
    packed = (kh * kw * channels, count_packed_columns(features))
    results = [((*x.shape[:3], features), x.dtype), (packed, choose_scratch_dtype(w.dtype))]
    return call("conv_forward", results, x, w.swapaxes(0, 1), b, reduced=low)[0]


def _compute_gradients(low: bool, o: Conv2d, _kept: tuple[()], dy: Array) -> Conv2d:
    kh, kw, channels, features = o.w.shape
    dy = dy.astype(o.x.dtype)
    turned = o.w[::-1, ::-1].swapaxes(2, 3)
    dx = _convolve(low, dy, turned, zeros((channels,), o.w.dtype, o.w))
    bands = -(-o.x.shape[1] // _BAND_ROWS)
    partials = (o.x.shape[0], bands, kh * kw * channels + 1, features)
    results = [
        ((kw, kh, channels, features), o.w.dtype),
        ((features,), o.w.dtype),
        (partials, choose_scratch_dtype(o.w.dtype)),
    ]
    dw, db, _ = call("conv_weight_gradient", results, o.x, dy, reduced=low)
    return o.replace(x=dx, w=dw.swapaxes(0, 1), b=db)
