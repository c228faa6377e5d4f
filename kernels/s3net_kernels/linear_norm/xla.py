"""Normalised linear layer in plain JAX: one operator after the other."""

from __future__ import annotations

from jax import Array

from s3net_kernels.batch_norm.xla import batch_norm
from s3net_kernels.linear.xla import linear
from s3net_kernels.operands import LinearNorm

__all__ = ["linear_norm"]


def linear_norm(o: LinearNorm) -> Array | tuple[Array, Array]:
    """See ``api.linear_norm``."""
    z = linear(o.layer().replace(through=False))
    assert isinstance(z, Array)
    y = batch_norm(o.norm(z))
    return (y, o.x) if o.through else y
