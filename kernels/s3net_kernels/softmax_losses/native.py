"""Losses of a softmax map on the CPU: one pass forward, one backward, in C++.

See ``kernels/csrc/softmax_losses``. Only the labels are kept for the backward pass.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from s3net_kernels._check import compute_dtype
from s3net_kernels._gradient import make_differentiable
from s3net_kernels._native import (
    call,
    choose_scratch_dtype,
    choose_storage_dtype,
    supports,
    unavailable,
)
from s3net_kernels._varying import zeros
from s3net_kernels.operands import SoftmaxLosses
from s3net_kernels.softmax_losses import xla

__all__ = ["softmax_losses", "supports", "unavailable"]

_BAND_ROWS = 32
"""Rows that are summed at once: ``kLossesBandRows`` of the library."""


def softmax_losses(o: SoftmaxLosses) -> tuple[Array, Array, Array]:
    """See ``api.softmax_losses``."""
    kind = compute_dtype(o.logits)
    weight = None if o.weight is None else jax.lax.stop_gradient(o.weight.astype(kind))
    logits = o.logits.astype(choose_storage_dtype(o.logits, kind))
    sums, used = _sum_losses(o.replace(logits=logits, weight=weight))
    return sums[0], sums[1], used


def _apply_plain(o: SoftmaxLosses) -> tuple[Array, Array]:
    *sums, used = xla.softmax_losses(o)
    return jnp.stack(sums), used


def _compute(o: SoftmaxLosses, *, save: bool):
    """Compute (sums, labels), and the labels as residual of the backward pass."""
    z, kind = o.logits, compute_dtype(o.logits)
    none = (0, *z.shape[1:3])
    labels = zeros(none, jnp.int32, z) if o.labels is None else o.labels
    weight = zeros(none, kind, z) if o.weight is None else o.weight
    images, height, width, _ = z.shape
    results = [
        ((2,), kind),
        ((images, height, width), jnp.int32),
        ((images, -(-height // _BAND_ROWS), 2), choose_scratch_dtype(kind)),
    ]
    sums, used, _ = call("losses_forward", results, z, labels, weight, spatial=o.spatial)
    return (sums, used), used


def _compute_gradients(
    o: SoftmaxLosses, used: Array, cotangents: tuple[Array, None]
) -> SoftmaxLosses:
    z, kind = o.logits, compute_dtype(o.logits)
    scale, _ = cotangents
    weight = zeros((0, *z.shape[1:3]), kind, z) if o.weight is None else o.weight
    operands = (z, used, weight, scale.astype(kind))
    (dz,) = call("losses_backward", [(z.shape, z.dtype)], *operands, spatial=o.spatial)
    none = None if o.weight is None else zeros(weight.shape, kind, z)
    return o.replace(logits=dz, labels=None, weight=none)


_sum_losses = make_differentiable(_apply_plain, _compute, _compute_gradients)
