"""Inception of depthwise convolutions: the branches one by one."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from s3net_kernels.depthwise_conv2d.reference import depthwise_conv2d

__all__ = ["inception_depthwise", "supports"]


def supports(*args, **kwargs) -> str | None:
    """Serves every valid call."""


def inception_depthwise(
    x: Array,
    weights: tuple[Array, ...],
    biases: tuple[Array, ...],
    *,
    dilations: tuple[int, ...],
    dtype=None,
) -> Array:
    """See ``api.inception_depthwise``."""
    branches = zip(weights, biases, dilations, strict=True)
    maps = [depthwise_conv2d(x, w, b, dilation=d, dtype=dtype) for w, b, d in branches]
    return jnp.concatenate(maps, -1)
