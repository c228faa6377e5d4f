"""Losses of a softmax map in plain JAX."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from s3net_kernels._check import compute_dtype
from s3net_kernels._sobel import sobel
from s3net_kernels.operands import SoftmaxLosses

__all__ = ["softmax_losses"]


def softmax_losses(o: SoftmaxLosses) -> tuple[Array, Array, Array]:
    """See ``api.softmax_losses``."""
    z, labels = o.logits.astype(compute_dtype(o.logits)), o.labels
    if labels is None:
        labels = jnp.argmax(jax.lax.stop_gradient(z), axis=-1).astype(jnp.int32)
    # Compare and sum instead of gathering: this fuses, and so does its gradient.
    chosen = labels[..., None] == jnp.arange(z.shape[-1], dtype=labels.dtype)
    per_pixel = jax.nn.logsumexp(z, axis=-1) - jnp.sum(jnp.where(chosen, z, 0), axis=-1)
    if o.weight is not None:
        per_pixel = per_pixel * jax.lax.stop_gradient(o.weight).astype(z.dtype)
    edges = jnp.zeros((), z.dtype)
    if o.spatial:
        x, y, xy = (jnp.abs(d) for d in sobel(jax.nn.softmax(z, axis=-1)))
        edges = jnp.sum(jnp.abs(x - y) + jnp.abs(x - xy) + jnp.abs(y - xy))
    return jnp.sum(per_pixel), edges, labels
