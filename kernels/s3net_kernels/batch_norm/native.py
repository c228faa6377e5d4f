"""Batch normalisation on the CPU: two passes each way in C++; see ``kernels/csrc/norm``.

Forward keeps x and the statistics for backward, not the normalised values.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax.numpy as jnp
from jax import Array

from s3net_kernels._check import compute_dtype
from s3net_kernels._gradient import differentiable
from s3net_kernels._native import call, scratch_dtype, storage_dtype, unavailable, unsupported
from s3net_kernels.batch_norm import xla

__all__ = ["batch_norm", "supports", "unavailable"]

_BLOCK_ROWS = 2048
"""Rows that are summed in one go: ``kNormBlockRows`` of the library."""


def supports(x: Array, scale: Array, bias: Array, *, epsilon: float) -> str | None:
    """Serves every valid call on the CPU."""
    return unsupported(x, scale, bias)


def batch_norm(x: Array, scale: Array, bias: Array, *, epsilon: float) -> Array:
    """See ``api.batch_norm``."""
    kind = compute_dtype(x, scale, bias)
    rows = x.astype(storage_dtype(x, kind)).reshape(-1, x.shape[-1])
    y = _norm(epsilon)(rows, scale.astype(kind), bias.astype(kind))
    return y.reshape(x.shape).astype(x.dtype)


@functools.cache
def _norm(epsilon: float) -> Callable[..., Array]:
    def value(x: Array, scale: Array, bias: Array, save: bool):
        kind, channels = scale.dtype, scale.shape
        results = [(x.shape, x.dtype), (channels, kind), (channels, kind), _partials(x, 3, kind)]
        y, mean, rstd, _ = call("norm_forward", results, x, scale, bias, epsilon=epsilon)
        return y, (mean, rstd)

    return differentiable(functools.partial(xla.batch_norm, epsilon=epsilon), value, _gradients)


def _partials(x: Array, sums: int, kind) -> tuple[tuple[int, int, int], jnp.dtype]:
    return (-(-x.shape[0] // _BLOCK_ROWS), sums, x.shape[1]), scratch_dtype(kind)


def _gradients(inputs: tuple[Array, ...], statistics: tuple[Array, Array], dy: Array):
    x, scale, _bias = inputs
    kind, channels = scale.dtype, scale.shape
    results = [(x.shape, x.dtype), (channels, kind), (channels, kind), _partials(x, 2, kind)]
    operands = (x, scale, *statistics, dy.astype(x.dtype))
    dx, dscale, dbias, _ = call("norm_backward", results, *operands)
    return dx, dscale, dbias
