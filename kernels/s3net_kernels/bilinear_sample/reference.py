"""Bilinear sampling, slow and obvious; gradients by automatic differentiation."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from s3net_kernels._check import compute_dtype

__all__ = ["bilinear_sample", "supports"]


def supports(*args, **kwargs) -> str | None:
    """Serves every valid call."""


def bilinear_sample(x: Array, coords: Array, *, boundary: str, dtype=None) -> Array:
    """See ``api.bilinear_sample``: sums the four neighbours, one after the other.

    ``dtype`` replaces the one to compute values in; coordinates keep theirs.
    """
    kind = compute_dtype(x, coords)
    batch, height, width, _ = x.shape
    y, z = coords[..., 0].astype(kind), coords[..., 1].astype(kind)
    if boundary == "edge":
        y = jnp.where(y < 0, 0, jnp.where(y > height - 1, height - 1, y))
        z = jnp.where(z < 0, 0, jnp.where(z > width - 1, width - 1, z))
    value_kind = dtype or kind
    image = jnp.arange(batch)[:, None, None]
    out = jnp.zeros((*y.shape, x.shape[3]), value_kind)
    for p, wy in _sides(y):
        for q, wx in _sides(z):
            inside = (p >= 0) & (p <= height - 1) & (q >= 0) & (q <= width - 1)
            inside |= boundary == "edge"  # the pixel beyond the last is the last once more
            row = jnp.clip(p, 0, height - 1).astype(int)
            column = jnp.clip(q, 0, width - 1).astype(int)
            weight = jnp.where(inside, wy * wx, 0)[..., None].astype(value_kind)
            out = out + x[image, row, column].astype(value_kind) * weight
    return out.astype(x.dtype)


def _sides(p: Array) -> list[tuple[Array, Array]]:
    """The whole numbers below and above ``p``, with their weights."""
    low = jnp.floor(p)
    return [(low, 1 - (p - low)), (low + 1, p - low)]
