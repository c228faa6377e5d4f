"""Linear layer on the CPU: matrix product, bias, activation and residual over tiles in C++.

See ``kernels/csrc/linear``. With an activation, the forward pass keeps its derivative.
"""

from __future__ import annotations

from typing import Any

from jax import Array

from s3net_kernels._gradient import make_differentiable
from s3net_kernels._native import (
    call,
    choose_scratch_dtype,
    convert,
    count_packed_columns,
    supports,
    unavailable,
)
from s3net_kernels._varying import zeros
from s3net_kernels.linear import xla
from s3net_kernels.operands import Linear

__all__ = ["linear", "supports", "unavailable"]

_BLOCK_ROWS = 2048
"""Rows whose weight gradient is summed at once: ``kLinearBlockRows`` of the library."""


def linear(o: Linear) -> Array | tuple[Array, Array]:
    """See ``api.linear``."""
    inputs, outputs = o.w.shape
    residual = None if o.residual is None else o.residual.reshape(-1, outputs)
    rows = convert(o.replace(x=o.x.reshape(-1, inputs), residual=residual))
    found = _linear(rows)
    y, same = found if o.through else (found, rows.x)
    y = y.reshape(*o.x.shape[:-1], outputs).astype(o.x.dtype)
    return (y, same.reshape(o.x.shape).astype(o.x.dtype)) if o.through else y


def _compute(o: Linear, *, save: bool):
    """Compute the result, and the activation's derivative if there is an activation."""
    (rows, inputs), outputs, gelu = o.x.shape, o.w.shape[1], o.activation == "gelu"
    results = [
        ((rows, outputs), o.x.dtype),
        ((rows if save and gelu else 0, outputs), o.x.dtype),
        ((inputs, count_packed_columns(outputs)), choose_scratch_dtype(o.w.dtype)),
    ]
    added = zeros((0, outputs), o.x.dtype, o.x) if o.residual is None else o.residual
    attributes = {"gelu": gelu, "reduced": o.precision is not None}
    y, slope, _ = call("linear_forward", results, o.x, o.w, o.b, added, **attributes)
    return ((y, o.x) if o.through else y), slope


def _compute_gradients(o: Linear, slope: Array, cotangents: Any) -> Linear:
    x, w = o.x, o.w
    dy, other = cotangents if o.through else (cotangents, x[:0])
    (rows, inputs), outputs = x.shape, w.shape[1]
    scratch = choose_scratch_dtype(w.dtype)
    results = [
        (x.shape, x.dtype),
        (w.shape, w.dtype),
        ((outputs,), w.dtype),
        ((outputs, count_packed_columns(inputs)), scratch),
        ((-(-rows // _BLOCK_ROWS), inputs + 1, outputs), scratch),
    ]
    dy = dy.astype(x.dtype)
    operands = x, w, slope, dy, other.astype(x.dtype)
    dx, dw, db, *_ = call("linear_backward", results, *operands, reduced=o.precision is not None)
    return o.replace(x=dx, w=dw, b=db, residual=None if o.residual is None else dy)


_linear = make_differentiable(xla.linear, _compute, _compute_gradients)
