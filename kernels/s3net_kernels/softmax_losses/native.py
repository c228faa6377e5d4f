"""Losses of a softmax map on the CPU: one pass forward, one backward, in C++.

See ``kernels/csrc/losses``. Nothing but the labels is kept for backward.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from s3net_kernels._check import compute_dtype
from s3net_kernels._gradient import differentiable
from s3net_kernels._native import call, scratch_dtype, storage_dtype, unavailable, unsupported
from s3net_kernels._varying import zeros
from s3net_kernels.softmax_losses import xla

__all__ = ["softmax_losses", "supports", "unavailable"]

_BAND_ROWS = 32
"""Rows that are summed in one go: ``kLossesBandRows`` of the library."""


def supports(
    logits: Array, labels: Array | None, weight: Array | None, *, spatial: bool
) -> str | None:
    """Serves every valid call on the CPU."""
    return unsupported(logits, labels, weight)


def softmax_losses(
    logits: Array, labels: Array | None, weight: Array | None, *, spatial: bool
) -> tuple[Array, Array, Array]:
    """See ``api.softmax_losses``."""
    kind = compute_dtype(logits)
    none = (0, *logits.shape[1:3])
    given = zeros(none, jnp.int32, logits) if labels is None else labels
    weights = zeros(none, kind, logits) if weight is None else weight.astype(kind)
    weights = jax.lax.stop_gradient(weights)
    z = logits.astype(storage_dtype(logits, kind))
    sums, used = _losses(labels is not None, weight is not None, spatial)(z, given, weights)
    return sums[0], sums[1], used


@functools.cache
def _losses(given: bool, weighted: bool, spatial: bool) -> Callable[..., tuple[Array, Array]]:
    """(sums, labels) of (logits, labels, weight); the last two are empty if there are none."""

    def plain(z: Array, labels: Array, weight: Array):
        *sums, used = xla.softmax_losses(
            z, labels if given else None, weight if weighted else None, spatial=spatial
        )
        return jnp.stack(sums), used

    def value(z: Array, labels: Array, weight: Array, save: bool):
        images, height, width, _ = z.shape
        results = [
            ((2,), weight.dtype),
            ((images, height, width), jnp.int32),
            ((images, -(-height // _BAND_ROWS), 2), scratch_dtype(weight.dtype)),
        ]
        sums, used, _ = call("losses_forward", results, z, labels, weight, spatial=int(spatial))
        return (sums, used), used

    return differentiable(plain, value, functools.partial(_gradients, spatial))


def _gradients(
    spatial: bool, inputs: tuple[Array, ...], used: Array, cotangents: tuple[Array, None]
):
    z, _, weight = inputs
    scale, _ = cotangents
    results = [(z.shape, z.dtype)]
    operands = (z, used, weight, scale.astype(weight.dtype))
    (dz,) = call("losses_backward", results, *operands, spatial=int(spatial))
    return dz, None, zeros(weight.shape, weight.dtype, z)
