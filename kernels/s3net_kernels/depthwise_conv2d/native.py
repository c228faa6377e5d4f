"""Depthwise convolution on the CPU: vectorised C++; see ``kernels/csrc/depthwise_conv2d``."""

from __future__ import annotations

from jax import Array

from s3net_kernels._gradient import make_differentiable
from s3net_kernels._native import call, choose_scratch_dtype, convert, supports, unavailable
from s3net_kernels.depthwise_conv2d import xla
from s3net_kernels.operands import DepthwiseConv2d

__all__ = ["depthwise_conv2d", "supports", "unavailable"]

_BAND_ROWS = 16
"""Rows whose weight gradient is summed at once: ``kDepthwiseBandRows`` of the library."""


def depthwise_conv2d(o: DepthwiseConv2d) -> Array:
    """See ``api.depthwise_conv2d``."""
    return _convolve(convert(o)).astype(o.x.dtype)


def _compute(o: DepthwiseConv2d, *, save: bool):
    results = [(o.x.shape, o.x.dtype)]
    return call("depthwise_forward", results, o.x, o.w, o.b, dilation=o.dilation)[0], ()


def _compute_gradients(o: DepthwiseConv2d, _kept: tuple[()], dy: Array) -> DepthwiseConv2d:
    (kh, kw, channels), kind = o.w.shape, o.w.dtype
    bands = -(-o.x.shape[1] // _BAND_ROWS)
    results = [
        (o.x.shape, o.x.dtype),
        (o.w.shape, kind),
        ((channels,), kind),
        ((o.x.shape[0], bands, kh * kw + 1, channels), choose_scratch_dtype(kind)),
    ]
    operands = (o.x, o.w[::-1, ::-1], dy.astype(o.x.dtype))
    dx, dw, db, _ = call("depthwise_backward", results, *operands, dilation=o.dilation)
    return o.replace(x=dx, w=dw, b=db)


_convolve = make_differentiable(xla.depthwise_conv2d, _compute, _compute_gradients)
