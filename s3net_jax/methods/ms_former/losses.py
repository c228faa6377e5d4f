"""The losses of MS-Former beside the cross entropy: within a scale, and between the scales."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

__all__ = ["compute_inter_scale_loss", "compute_intra_scale_loss"]

_EPSILON = 1e-12  # added to squared norms, as PyTorch's CosineEmbeddingLoss does


def compute_intra_scale_loss(attention: Array) -> Array:
    """Compute the mean of |A − I|: a patch should resemble itself after a shift, and no other.

    Source: Karimijafarbigloo et al., MS-Former, MIDL 2023.

    Args:
      attention: floating point attention A (N, P, P) of P patches, whose rows sum to 1.

    Returns:
      Mean over the N·P² entries, (), in [0, 2/P]: 2·(1 − mean of the diagonal)/P. It is 0 for
      A = I, and always for a single patch.
    """
    identity = jnp.eye(attention.shape[-1], dtype=attention.dtype)
    return jnp.mean(jnp.abs(attention - identity))


def compute_inter_scale_loss(small: Array, large: Array) -> Array:
    """Compute the mean of 1 − cos between the contexts of both scales, row by row.

    This is the cosine embedding loss with target 1; source: Karimijafarbigloo et al., MS-Former,
    MIDL 2023.

    Args:
      small: floating point context (N, K, K) of the small scale; a row is a key channel.
      large: context of the large scale, of the same shape.

    Returns:
      Mean over the N·K rows, (), in [0, 2]; 0 if all rows point in the same directions.
    """
    product = jnp.sum(small * large, -1)
    norms = [jnp.sum(jnp.square(context), -1) + _EPSILON for context in (small, large)]
    return jnp.mean(1 - product / jnp.sqrt(norms[0] * norms[1]))
