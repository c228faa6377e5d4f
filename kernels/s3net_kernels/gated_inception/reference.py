"""Gated inception, slow and obvious: its parts one after the other."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from s3net_kernels._check import compute_dtype
from s3net_kernels.depthwise_conv2d.reference import depthwise_conv2d
from s3net_kernels.inception_depthwise.reference import inception_depthwise
from s3net_kernels.operands import GatedInception

__all__ = ["gated_inception"]


def gated_inception(o: GatedInception, dtype=None) -> Array:
    """See ``api.gated_inception``; always at full precision, in ``dtype``."""
    kind = dtype or compute_dtype(o)
    x = o.x.astype(kind)
    if isinstance(o.local_w, tuple):
        results = []
        for local, branch in zip(o.replace(x=x).locals(), o.branches(x).branches(), strict=True):
            results.append(depthwise_conv2d(branch.replace(x=depthwise_conv2d(local, kind)), kind))
        branches = jnp.concatenate(results, -1)
    else:
        local = depthwise_conv2d(o.replace(x=x).local(), kind)
        branches = inception_depthwise(o.branches(local), kind)
    mixed = jnp.matmul(branches, o.mix_w.astype(kind), precision="highest")
    y = x * (mixed + o.mix_b.astype(kind))
    return (y if o.residual is None else y + o.residual.astype(kind)).astype(o.x.dtype)
