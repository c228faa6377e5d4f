"""Batch normalisation on the CPU: two passes each way in C++; see ``kernels/csrc/batch_norm``.

The forward pass keeps x and the statistics for the backward pass, not the normalised values.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from s3net_kernels._gradient import make_differentiable
from s3net_kernels._native import call, choose_scratch_dtype, convert, supports, unavailable
from s3net_kernels.batch_norm import xla
from s3net_kernels.operands import BatchNorm

__all__ = ["batch_norm", "supports", "unavailable"]

_BLOCK_ROWS = 2048
"""Rows that are summed at once: ``kNormBlockRows`` of the library."""


def batch_norm(o: BatchNorm) -> Array:
    """See ``api.batch_norm``."""
    rows = convert(o.replace(x=o.x.reshape(-1, o.x.shape[-1])))
    return _normalise(rows).reshape(o.x.shape).astype(o.x.dtype)


def _compute(o: BatchNorm, *, save: bool):
    kind, channels = o.scale.dtype, o.scale.shape
    results = [(o.x.shape, o.x.dtype), (channels, kind), (channels, kind), _partials(o.x, 3, kind)]
    y, mean, rstd, _ = call("norm_forward", results, o.x, o.scale, o.bias, epsilon=o.epsilon)
    return y, (mean, rstd)


def _partials(x: Array, sums: int, kind) -> tuple[tuple[int, int, int], jnp.dtype]:
    return (-(-x.shape[0] // _BLOCK_ROWS), sums, x.shape[1]), choose_scratch_dtype(kind)


def _compute_gradients(o: BatchNorm, statistics: tuple[Array, Array], dy: Array) -> BatchNorm:
    kind, channels = o.scale.dtype, o.scale.shape
    results = [(o.x.shape, o.x.dtype), (channels, kind), (channels, kind), _partials(o.x, 2, kind)]
    operands = (o.x, o.scale, *statistics, dy.astype(o.x.dtype))
    dx, dscale, dbias, _ = call("norm_backward", results, *operands)
    return o.replace(x=dx, scale=dscale, bias=dbias)


_normalise = make_differentiable(xla.batch_norm, _compute, _compute_gradients)
