"""Bilinear sampling, slow and obvious; gradients by automatic differentiation."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from s3net_kernels._check import compute_dtype

__all__ = ["bilinear_sample", "supports"]


def supports(*args, **kwargs) -> str | None:
    """Serves every valid call."""


def bilinear_sample(x: Array, coords: Array, *, boundary: str) -> Array:
    """See ``api.bilinear_sample``: sums the four neighbours, one after the other."""
    kind = compute_dtype(x, coords)
    batch, height, width, _ = x.shape
    y, z = coords[..., 0].astype(kind), coords[..., 1].astype(kind)
    if boundary == "edge":
        y = jnp.where(y < 0, 0, jnp.where(y > height - 1, height - 1, y))
        z = jnp.where(z < 0, 0, jnp.where(z > width - 1, width - 1, z))
    image = jnp.arange(batch)[:, None, None]
    out = jnp.zeros((*y.shape, x.shape[3]), kind)
    for top in (0, 1):
        for left in (0, 1):
            p, q = jnp.floor(y) + top, jnp.floor(z) + left
            weight = (1 - top + (2 * top - 1) * (y - jnp.floor(y))) * (
                1 - left + (2 * left - 1) * (z - jnp.floor(z))
            )
            inside = (p >= 0) & (p <= height - 1) & (q >= 0) & (q <= width - 1)
            row = jnp.clip(p, 0, height - 1).astype(int)
            column = jnp.clip(q, 0, width - 1).astype(int)
            pixel = jnp.where(inside[..., None], x[image, row, column].astype(kind), 0)
            out = out + pixel * weight[..., None]
    return out.astype(x.dtype)
