"""Linear layer on the CPU: matrix product, bias, activation and residual over tiles in C++.

See ``kernels/csrc/linear``. With an activation, forward keeps its derivative for backward.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple, cast

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
    found = cast(Any, _linear(rows, w.astype(kind), bias, added.reshape(shape), options))
    y, same = found if through else (found, rows)
    y = y.reshape(*x.shape[:-1], outputs).astype(x.dtype)
    return (y, same.reshape(x.shape).astype(x.dtype)) if through else y


class _Options(NamedTuple):
    gelu: bool
    residual: bool
    reduced: int
    through: bool


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def _linear(x: Array, w: Array, b: Array, residual: Array, options: _Options):
    y = _forward(x, w, b, residual, options, slope=False)[0]
    return (y, x) if options.through else y


def _forward(x: Array, w: Array, b: Array, residual: Array, options: _Options, slope: bool):
    (rows, inputs), outputs = x.shape, w.shape[1]
    results = [
        ((rows, outputs), x.dtype),
        ((rows if slope else 0, outputs), x.dtype),
        ((inputs, packed_columns(outputs)), scratch_dtype(w.dtype)),
    ]
    attributes = {"gelu": int(options.gelu), "reduced": options.reduced}
    return call("linear_forward", results, x, w, b, residual, **attributes)


def _linear_fwd(x: Array, w: Array, b: Array, residual: Array, options: _Options):
    y, slope, _ = _forward(x, w, b, residual, options, slope=options.gelu)
    return ((y, x) if options.through else y), (x, w, slope)


def _linear_bwd(options: _Options, saved: tuple[Array, Array, Array], cotangents):
    x, w, slope = saved
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


_linear.defvjp(_linear_fwd, _linear_bwd)
