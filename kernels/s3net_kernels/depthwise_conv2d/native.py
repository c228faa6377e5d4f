"""Depthwise convolution on the CPU: vectorised C++; see ``kernels/csrc/depthwise``."""

from __future__ import annotations

import functools
from collections.abc import Callable

from jax import Array

from s3net_kernels._check import compute_dtype
from s3net_kernels._gradient import differentiable
from s3net_kernels._native import call, scratch_dtype, storage_dtype, unavailable, unsupported
from s3net_kernels._varying import zeros
from s3net_kernels.depthwise_conv2d import xla

__all__ = ["depthwise_conv2d", "supports", "unavailable"]

_BAND_ROWS = 16
"""Rows whose weight gradient is summed in one go: ``kDepthwiseBandRows`` of the library."""


def supports(x: Array, w: Array, b: Array | None, *, dilation: int) -> str | None:
    """Serves every valid call on the CPU."""
    return unsupported(x, w, b)


def depthwise_conv2d(x: Array, w: Array, b: Array | None, *, dilation: int) -> Array:
    """See ``api.depthwise_conv2d``."""
    kind = compute_dtype(x, w, b)
    bias = zeros((x.shape[3],), kind, x) if b is None else b.astype(kind)
    y = _convolution(dilation)(x.astype(storage_dtype(x, kind)), w.astype(kind), bias)
    return y.astype(x.dtype)


@functools.cache
def _convolution(dilation: int) -> Callable[..., Array]:
    def value(x: Array, w: Array, b: Array, save: bool):
        y = call("depthwise_forward", [(x.shape, x.dtype)], x, w, b, dilation=dilation)[0]
        return y, ()

    plain = functools.partial(xla.depthwise_conv2d, dilation=dilation)
    return differentiable(plain, value, functools.partial(_gradients, dilation))


def _gradients(dilation: int, inputs: tuple[Array, ...], _kept: tuple[()], dy: Array):
    x, w, _b = inputs
    (kh, kw, channels), kind = w.shape, w.dtype
    bands = -(-x.shape[1] // _BAND_ROWS)
    results = [
        (x.shape, x.dtype),
        (w.shape, kind),
        ((channels,), kind),
        ((x.shape[0], bands, kh * kw + 1, channels), scratch_dtype(kind)),
    ]
    dx, dw, db, _ = call(
        "depthwise_backward", results, x, w[::-1, ::-1], dy.astype(x.dtype), dilation=dilation
    )
    return dx, dw, db
