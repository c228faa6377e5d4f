"""Dense convolution on the CPU: patches gathered into the cache; see ``kernels/csrc/conv``.

The library takes and gives kernels with their columns first. The gradients by x and by the kernel
are separate calls: a program that needs one of them does not compute the other.
"""

from __future__ import annotations

import functools
from typing import cast

import jax
from jax import Array

from s3net_kernels._check import compute_dtype
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
    y = _conv(x.astype(storage_dtype(x, kind)), w.astype(kind), bias, reduced())
    return cast(Array, y).astype(x.dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _conv(x: Array, w: Array, b: Array, low: int) -> Array:
    kh, kw, channels, features = w.shape
    packed = (kh * kw * channels, packed_columns(features))
    results = [((*x.shape[:3], features), x.dtype), (packed, scratch_dtype(w.dtype))]
    return call("conv_forward", results, x, w.swapaxes(0, 1), b, reduced=low)[0]


def _conv_fwd(x: Array, w: Array, b: Array, low: int):
    return _conv(x, w, b, low), (x, w)


def _conv_bwd(low: int, saved: tuple[Array, Array], dy: Array):
    x, w = saved
    kh, kw, channels, features = w.shape
    dy = dy.astype(x.dtype)
    dx = _conv(dy, w[::-1, ::-1].swapaxes(2, 3), zeros((channels,), w.dtype, w), low)
    bands = -(-x.shape[1] // _BAND_ROWS)
    turned = (kw, kh, channels, features)
    partials = (x.shape[0], bands, kh * kw * channels + 1, features)
    results = [(turned, w.dtype), ((features,), w.dtype), (partials, scratch_dtype(w.dtype))]
    dw, db, _ = call("conv_weight_gradient", results, x, dy, reduced=low)
    return dx, dw.swapaxes(0, 1), db


_conv.defvjp(_conv_fwd, _conv_bwd)
