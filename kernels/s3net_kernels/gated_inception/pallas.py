"""Gated inception on a GPU: the depthwise convolutions as Pallas kernels, the rest in XLA."""

from __future__ import annotations

from jax import Array

from s3net_kernels._check import compute_dtype
from s3net_kernels._pallas import unavailable
from s3net_kernels.depthwise_conv2d import pallas as depthwise
from s3net_kernels.inception_depthwise import pallas as inception
from s3net_kernels.linear.xla import product

__all__ = ["gated_inception", "supports", "unavailable"]


def supports(
    x: Array,
    local_w: Array,
    local_b: Array,
    weights: tuple[Array, ...],
    biases: tuple[Array, ...],
    *rest: Array | None,
    dilations: tuple[int, ...],
    precision: str | None,
) -> str | None:
    """Serves what the kernels of its parts serve."""
    reason = depthwise.supports(x, local_w, local_b, dilation=1)
    return reason or inception.supports(x, weights, biases, dilations=dilations)


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
    local = depthwise.depthwise_conv2d(x, local_w, local_b, dilation=1)
    branches = inception.inception_depthwise(local, weights, biases, dilations=dilations)
    y = x.astype(kind) * (product(branches, mix_w, kind, precision) + mix_b.astype(kind))
    return (y if residual is None else y + residual.astype(kind)).astype(x.dtype)
