"""Normalised linear layer, slow and obvious; gradients by automatic differentiation."""

from __future__ import annotations

from jax import Array

from s3net_kernels.batch_norm.reference import batch_norm
from s3net_kernels.linear.reference import linear
from s3net_kernels.operands import LinearNorm

__all__ = ["linear_norm"]


def linear_norm(o: LinearNorm, dtype=None) -> Array | tuple[Array, Array]:
    """See ``api.linear_norm``; always at full precision, in ``dtype``."""
    z = linear(o.layer().replace(through=False), dtype)
    assert isinstance(z, Array)
    y = batch_norm(o.norm(z), dtype)
    return (y, o.x) if o.through else y
