"""Gated inception, slow and obvious: its parts one after the other."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from s3net_kernels._check import compute_dtype
from s3net_kernels.depthwise_conv2d.reference import depthwise_conv2d

__all__ = ["gated_inception", "supports"]


def supports(*args, **kwargs) -> str | None:
    """Serves every valid call."""


def gated_inception(
    x: Array,
    local_w: Array,
    local_b: Array,
    weights: tuple[Array, ...],
    biases: tuple[Array, ...],
    mix_w: Array,
    mix_b: Array,
    residual: Array | None,
    *,
    dilations: tuple[int, ...],
    precision: str | None = None,
    dtype=None,
) -> Array:
    """See ``api.gated_inception``; always at full precision, in ``dtype``."""
    kind = dtype or compute_dtype(x, local_w, local_b, *weights, *biases, mix_w, mix_b, residual)
    wide = x.astype(kind)
    local = depthwise_conv2d(wide, local_w, local_b, dilation=1, dtype=kind)
    branches = [
        depthwise_conv2d(local, w, b, dilation=d, dtype=kind)
        for w, b, d in zip(weights, biases, dilations, strict=True)
    ]
    mixed = jnp.matmul(jnp.concatenate(branches, -1), mix_w.astype(kind), precision="highest")
    y = wide * (mixed + mix_b.astype(kind))
    return (y if residual is None else y + residual.astype(kind)).astype(x.dtype)
