"""Gated inception in plain JAX: its parts one after the other."""

from __future__ import annotations

from jax import Array

from s3net_kernels._check import compute_dtype
from s3net_kernels.depthwise_conv2d.xla import depthwise_conv2d
from s3net_kernels.inception_depthwise.xla import inception_depthwise
from s3net_kernels.linear.xla import product

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
    precision: str | None,
) -> Array:
    """See ``api.gated_inception``."""
    kind = compute_dtype(x, local_w, local_b, *weights, *biases, mix_w, mix_b, residual)
    local = depthwise_conv2d(x, local_w, local_b, dilation=1)
    branches = inception_depthwise(local, weights, biases, dilations=dilations)
    mixed = product(branches, mix_w, kind, precision) + mix_b.astype(kind)
    y = x.astype(kind) * mixed
    return (y if residual is None else y + residual.astype(kind)).astype(x.dtype)
