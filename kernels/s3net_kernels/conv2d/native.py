"""Dense convolution on the CPU: patches gathered into the cache; see ``kernels/csrc/conv``.

The library takes and gives kernels with their columns first. The gradients by x and by the kernel
are separate calls: a program that needs one of them does not compute the other.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from jax import Array

from s3net_kernels._check import compute_dtype
from s3net_kernels._gradient import differentiable
from s3net_kernels._native import (
    call,
    packed_columns,
    reduced,
    scratch_dtype,
    storage_dtype,
    unavailable,
    unsupported,
)
from s3net_kernels._varying import zeros
from s3net_kernels.conv2d import xla

__all__ = ["conv2d", "supports", "unavailable"]

_BAND_ROWS = 8
"""Rows whose weight gradient is summed in one go: ``kConvBandRows`` of the library."""


def supports(x: Array, w: Array, b: Array | None) -> str | None:
    """Serves every valid call on the CPU."""
    return unsupported(x, w, b)


def conv2d(x: Array, w: Array, b: Array | None) -> Array:
    """See ``api.conv2d``."""
    kind = compute_dtype(x, w, b)
    bias = zeros((w.shape[3],), kind, x) if b is None else b.astype(kind)
    y = _conv(reduced())(x.astype(storage_dtype(x, kind)), w.astype(kind), bias)
    return y.astype(x.dtype)


@functools.cache
def _conv(low: int) -> Callable[..., Array]:
    def value(x: Array, w: Array, b: Array, save: bool):
        return _convolved(low, x, w, b), ()

    return differentiable(xla.conv2d, value, functools.partial(_gradients, low))


def _convolved(low: int, x: Array, w: Array, b: Array) -> Array:
    kh, kw, channels, features = w.shape
    packed = (kh * kw * channels, packed_columns(features))
    results = [((*x.shape[:3], features), x.dtype), (packed, scratch_dtype(w.dtype))]
    return call("conv_forward", results, x, w.swapaxes(0, 1), b, reduced=low)[0]


def _gradients(low: int, inputs: tuple[Array, ...], _kept: tuple[()], dy: Array):
    x, w, _b = inputs
    kh, kw, channels, features = w.shape
    dy = dy.astype(x.dtype)
    turned = w[::-1, ::-1].swapaxes(2, 3)
    dx = _convolved(low, dy, turned, zeros((channels,), w.dtype, w))
    bands = -(-x.shape[1] // _BAND_ROWS)
    partials = (x.shape[0], bands, kh * kw * channels + 1, features)
    results = [
        ((kw, kh, channels, features), w.dtype),
        ((features,), w.dtype),
        (partials, scratch_dtype(w.dtype)),
    ]
    dw, db, _ = call("conv_weight_gradient", results, x, dy, reduced=low)
    return dx, dw.swapaxes(0, 1), db
