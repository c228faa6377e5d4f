"""Deformable convolution on the CPU: vectorised C++; see ``kernels/csrc/deform``.

Sampling and matrix product are fused over tiles of pixels: the columns never leave the cache.
Backward samples again.
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
from s3net_kernels.deform_conv2d import xla

__all__ = ["deform_conv2d", "supports", "unavailable"]

_BAND_ROWS = 16
"""Rows whose weight gradient is summed in one go: ``kDeformBandRows`` of the library."""


def supports(x: Array, offset: Array, mask: Array, w: Array, b: Array | None) -> str | None:
    """Serves every valid call on the CPU."""
    return unsupported(x, offset, mask, w, b)


def deform_conv2d(x: Array, offset: Array, mask: Array, w: Array, b: Array | None) -> Array:
    """See ``api.deform_conv2d``."""
    kind = compute_dtype(x, offset, mask, w, b)
    bias = zeros((w.shape[3],), kind, x) if b is None else b.astype(kind)
    rest = (a.astype(kind) for a in (offset, mask, w))
    y = _deform(reduced())(x.astype(storage_dtype(x, kind)), *rest, bias)
    return y.astype(x.dtype)


@functools.cache
def _deform(low: int) -> Callable[..., Array]:
    def value(x: Array, offset: Array, mask: Array, w: Array, b: Array, save: bool):
        columns, features = w.size // w.shape[3], w.shape[3]
        packed = ((columns, packed_columns(features)), scratch_dtype(w.dtype))
        results = [((*x.shape[:3], features), x.dtype), packed]
        return call("deform_forward", results, x, offset, mask, w, b, reduced=low)[0], ()

    return differentiable(xla.deform_conv2d, value, functools.partial(_gradients, low))


def _gradients(low: int, inputs: tuple[Array, ...], _kept: tuple[()], dy: Array):
    x, offset, mask, w, _b = inputs
    columns, features = w.size // w.shape[3], w.shape[3]
    bands = -(-x.shape[1] // _BAND_ROWS)
    shapes = [
        x.shape,
        offset.shape,
        mask.shape,
        w.shape,
        (features,),
    ]
    scratch = [(features, packed_columns(columns)), (x.shape[0], bands, columns + 1, features)]
    results = [(shape, w.dtype) for shape in shapes]
    results += [(shape, scratch_dtype(w.dtype)) for shape in scratch]
    dx, doffset, dmask, dw, db, *_ = call(
        "deform_backward", results, x, offset, mask, w, dy.astype(x.dtype), reduced=low
    )
    return dx.astype(x.dtype), doffset, dmask, dw, db
