"""Normalised linear layer on the CPU: one operator after the other, each in C++."""

from __future__ import annotations

from jax import Array

from s3net_kernels._native import supports, unavailable
from s3net_kernels.batch_norm.native import batch_norm
from s3net_kernels.linear.native import linear
from s3net_kernels.operands import LinearNorm

__all__ = ["linear_norm", "supports", "unavailable"]


def linear_norm(o: LinearNorm) -> Array | tuple[Array, Array]:
    """See ``api.linear_norm``."""
    found = linear(o.layer())
    z, same = found if isinstance(found, tuple) else (found, o.x)
    y = batch_norm(o.norm(z))
    return (y, same) if o.through else y
