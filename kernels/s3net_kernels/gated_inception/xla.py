"""Gated inception in plain JAX: its parts one after the other."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from s3net_kernels._check import compute_dtype
from s3net_kernels.depthwise_conv2d.xla import depthwise_conv2d
from s3net_kernels.gated_inception.separate import has_own_locals
from s3net_kernels.inception_depthwise.xla import inception_depthwise
from s3net_kernels.linear.xla import multiply
from s3net_kernels.operands import GatedInception

__all__ = ["gated_inception"]


def gated_inception(o: GatedInception) -> Array:
    """See ``api.gated_inception``."""
    kind = compute_dtype(o)
    if has_own_locals(o):
        inputs = [depthwise_conv2d(local) for local in o.locals()]
        pairs = zip(o.branches(o.x).branches(), inputs, strict=True)
        branches = jnp.concatenate([depthwise_conv2d(b.replace(x=x)) for b, x in pairs], -1)
    else:
        branches = inception_depthwise(o.branches(depthwise_conv2d(o.local())))
    mixed = multiply(branches, o.mix_w, kind, o.precision) + o.mix_b.astype(kind)
    y = o.x.astype(kind) * mixed
    return (y if o.residual is None else y + o.residual.astype(kind)).astype(o.x.dtype)
