"""Deformable convolution on the CPU: vectorised C++; see ``kernels/csrc/deform_conv2d``.

Sampling and matrix product are fused over tiles of pixels, so that the columns never leave the
cache. The backward pass samples again.
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
from s3net_kernels.deform_conv2d import xla
from s3net_kernels.operands import DeformConv2d

__all__ = ["deform_conv2d", "supports", "unavailable"]

_BAND_ROWS = 16
"""Rows whose weight gradient is summed at once: ``kDeformBandRows`` of the library."""


def deform_conv2d(o: DeformConv2d) -> Array:
    """See ``api.deform_conv2d``."""
    return _make_convolution(rounds_factors())(convert(o)).astype(o.x.dtype)


@functools.cache
def _make_convolution(low: bool) -> Callable[[DeformConv2d], Array]:
    def value(o: DeformConv2d, *, save: bool):
        columns, features = o.w.size // o.w.shape[3], o.w.shape[3]
        packed = ((columns, count_packed_columns(features)), choose_scratch_dtype(o.w.dtype))
        results = [((*o.x.shape[:3], features), o.x.dtype), packed]
        operands = (o.x, o.offset, o.mask, o.w, o.b)
        return call("deform_forward", results, *operands, reduced=low)[0], ()

    return make_differentiable(xla.deform_conv2d, value, functools.partial(_compute_gradients, low))


def _compute_gradients(low: bool, o: DeformConv2d, _kept: tuple[()], dy: Array) -> DeformConv2d:
    x, kind = o.x, o.w.dtype
    columns, features = o.w.size // o.w.shape[3], o.w.shape[3]
    bands = -(-x.shape[1] // _BAND_ROWS)
    shapes = [x.shape, o.offset.shape, o.mask.shape, o.w.shape, (features,)]
    results = [(shape, kind) for shape in shapes]
    scratch = (features, count_packed_columns(columns)), (x.shape[0], bands, columns + 1, features)
    results += [(shape, choose_scratch_dtype(kind)) for shape in scratch]
    operands = (x, o.offset, o.mask, o.w, dy.astype(x.dtype))
    dx, doffset, dmask, dw, db, *_ = call("deform_backward", results, *operands, reduced=low)
    return DeformConv2d(dx.astype(x.dtype), doffset, dmask, dw, db)
