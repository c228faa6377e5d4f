"""Inception of depthwise convolutions: the branches one by one."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from s3net_kernels.depthwise_conv2d.reference import depthwise_conv2d
from s3net_kernels.operands import InceptionDepthwise

__all__ = ["inception_depthwise"]


def inception_depthwise(o: InceptionDepthwise, dtype=None) -> Array:
    """See ``api.inception_depthwise``."""
    return jnp.concatenate([depthwise_conv2d(branch, dtype) for branch in o.branches()], -1)
