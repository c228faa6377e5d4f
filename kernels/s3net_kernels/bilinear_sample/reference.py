"""Bilinear sampling, slow and obvious; gradients by automatic differentiation."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from s3net_kernels._check import compute_dtype
from s3net_kernels.operands import BilinearSample

__all__ = ["bilinear_sample"]


def bilinear_sample(o: BilinearSample, dtype=None) -> Array:
    """See ``api.bilinear_sample``; sum the four neighbours one after the other.

    ``dtype`` replaces the dtype of values; coordinates keep theirs.
    """
    x, coords, kind = o.x, o.coords, compute_dtype(o)
    batch, height, width, _ = x.shape
    y, z = coords[..., 0].astype(kind), coords[..., 1].astype(kind)
    value_kind = dtype or kind
    image = jnp.arange(batch)[:, None, None]
    out = jnp.zeros((*y.shape, x.shape[3]), value_kind)
    for p, wy, in_y in _sides(y, height, o.boundary):
        for q, wx, in_x in _sides(z, width, o.boundary):
            value = x[image, p, q].astype(value_kind)
            # Mask pixels outside: the row read in their place may be NaN, and 0 · NaN is NaN.
            value = jnp.where((in_y & in_x)[..., None], value, 0)
            out = out + value * (wy * wx)[..., None].astype(value_kind)
    return out.astype(x.dtype)


def _sides(p: Array, length: int, boundary: str) -> list[tuple[Array, Array, Array]]:
    """Return (index, weight, is inside) of the pixels around ``p``. NaN gives weights of NaN."""
    first, last = (0, length - 1) if boundary == "edge" else (-1, length)
    beyond = (p < first) | (p > last)
    p = jnp.where(p < first, first, jnp.where(p > last, last, p))
    low = jnp.floor(p)
    pair = []
    for pixel, weight in ((low, 1 - (p - low)), (low + 1, p - low)):
        # With "edge", the pixel beyond the last one is the last one again.
        inside = (pixel >= 0) & (pixel <= length - 1) & ~beyond
        inside = (inside | (boundary == "edge")) & ~jnp.isnan(p)
        index = jnp.clip(jnp.nan_to_num(pixel), 0, length - 1).astype(int)
        pair.append((index, weight, inside))
    return pair
