"""Losses of a softmax map, slow and obvious: one slice for every tap of a filter."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from s3net_kernels._check import compute_dtype
from s3net_kernels.operands import SoftmaxLosses

__all__ = ["softmax_losses"]

_DIFFERENCE, _SMOOTH = (-1, 0, 1), (1, 2, 1)


def softmax_losses(o: SoftmaxLosses, dtype=None) -> tuple[Array, Array, Array]:
    """See ``api.softmax_losses``; in ``dtype``."""
    z = o.logits.astype(dtype or compute_dtype(o.logits))
    labels = jnp.argmax(z, -1).astype(jnp.int32) if o.labels is None else o.labels
    # Select instead of multiplying: zero times a logit of −inf would be NaN.
    chosen = labels[..., None] == jnp.arange(z.shape[-1])
    per_pixel = jax.nn.logsumexp(z, axis=-1) - jnp.sum(jnp.where(chosen, z, 0), -1)
    if o.weight is not None:
        per_pixel = per_pixel * jax.lax.stop_gradient(o.weight).astype(z.dtype)
    edges = jnp.zeros((), z.dtype)
    if o.spatial:
        p = jax.nn.softmax(z, -1)
        x, y = _filter(p, _SMOOTH, _DIFFERENCE), _filter(p, _DIFFERENCE, _SMOOTH)
        xy = _filter(p, _DIFFERENCE, _DIFFERENCE)
        x, y, xy = jnp.abs(x), jnp.abs(y), jnp.abs(xy)
        edges = jnp.sum(jnp.abs(x - y) + jnp.abs(x - xy) + jnp.abs(y - xy))
    return jnp.sum(per_pixel), edges, labels


def _filter(p: Array, rows: tuple[int, ...], columns: tuple[int, ...]) -> Array:
    """Correlate (N, H, W, K) with the outer product of two kernels of three taps."""
    height, width = p.shape[1:3]
    q = jnp.pad(p, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    taps = [
        a * b * q[:, i : i + height, j : j + width]
        for i, a in enumerate(rows)
        for j, b in enumerate(columns)
    ]
    return sum(taps[1:], taps[0])
