"""Linear layer on the CPU: matrix product, bias, activation and residual over tiles in C++.

See ``kernels/csrc/linear``. With an activation, forward keeps its derivative for backward.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

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
from s3net_kernels.linear import xla

__all__ = ["linear", "supports", "unavailable"]

_BLOCK_ROWS = 2048
"""Rows whose weight gradient is summed in one go: ``kLinearBlockRows`` of the library."""


def supports(
    x: Array,
    w: Array,
    b: Array | None,
    residual: Array | None,
    *,
    activation: str | None,
    precision: str | None,
    through: bool,
) -> str | None:
    """Serves every valid call on the CPU."""
    return unsupported(x, w, b, residual)


def linear(
    x: Array,
    w: Array,
    b: Array | None,
    residual: Array | None,
    *,
    activation: str | None,
    precision: str | None,
    through: bool,
) -> Array | tuple[Array, Array]:
    """See ``api.linear``."""
    kind = compute_dtype(x, w, b, residual)
    storage = storage_dtype(x, kind)
    outputs = w.shape[1]
    bias = zeros((outputs,), kind, x) if b is None else b.astype(kind)
    rows = x.astype(storage).reshape(-1, x.shape[-1])
    shape = (0 if residual is None else rows.shape[0], outputs)
    added = zeros(shape, storage, x) if residual is None else residual.astype(storage)
    options = _Options(activation == "gelu", residual is not None, reduced(precision), through)
    found = _linear(options)(rows, w.astype(kind), bias, added.reshape(shape))
    y, same = found if through else (found, rows)
    y = y.reshape(*x.shape[:-1], outputs).astype(x.dtype)
    return (y, same.reshape(x.shape).astype(x.dtype)) if through else y


class _Options(NamedTuple):
    gelu: bool
    residual: bool
    reduced: int
    through: bool


@functools.cache
def _linear(options: _Options) -> Callable[..., Any]:
    def plain(x: Array, w: Array, b: Array, residual: Array):
        return xla.linear(
            x,
            w,
            b,
            residual if options.residual else None,
            activation="gelu" if options.gelu else None,
            precision="bfloat16" if options.reduced else None,
            through=options.through,
        )

    value = functools.partial(_value, options)
    return differentiable(plain, value, functools.partial(_gradients, options))


def _value(options: _Options, x: Array, w: Array, b: Array, residual: Array, *, save: bool):
    """With the activation's slope, if there is one."""
    (rows, inputs), outputs = x.shape, w.shape[1]
    results = [
        ((rows, outputs), x.dtype),
        ((rows if save and options.gelu else 0, outputs), x.dtype),
        ((inputs, packed_columns(outputs)), scratch_dtype(w.dtype)),
    ]
    attributes = {"gelu": int(options.gelu), "reduced": options.reduced}
    y, slope, _ = call("linear_forward", results, x, w, b, residual, **attributes)
    return ((y, x) if options.through else y), slope


def _gradients(options: _Options, given: tuple[Array, ...], slope: Array, cotangents: Any):
    x, w, _b, _residual = given
    dy, other = cotangents if options.through else (cotangents, x[:0])
    (rows, inputs), outputs = x.shape, w.shape[1]
    scratch = scratch_dtype(w.dtype)
    results = [
        (x.shape, x.dtype),
        (w.shape, w.dtype),
        ((outputs,), w.dtype),
        ((outputs, packed_columns(inputs)), scratch),
        ((-(-rows // _BLOCK_ROWS), inputs + 1, outputs), scratch),
    ]
    dy = dy.astype(x.dtype)
    operands = x, w, slope, dy, other.astype(x.dtype)
    dx, dw, db, *_ = call("linear_backward", results, *operands, reduced=options.reduced)
    return dx, dw, db, dy if options.residual else dy[:0]
