"""Affine consistency of two paths through the network (equation 6)."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from s3net_kernels import softmax_losses

__all__ = ["affine_consistency"]


def affine_consistency(
    logits: Array, warped_labels: Array, valid: Array, implementation: str | None = None
) -> Array:
    """L_AT = −(1/|V|) Σ_{i∈V} Σ_k Y^a_ik log Y'_ik over the valid pixels V (equation 6).

    Y^a is the transformed pseudo label of the main path, Y' the softmax of what the second
    path makes of transformed input. Pixels whose source lies outside the image do not count.

    Args:
      logits: (N, H, W, K) of the second path, floating point.
      warped_labels: (N, H, W) integer in 0..K−1, the transformed pseudo label.
      valid: bool, broadcastable to (N, H, W).
      implementation: of ``s3net_kernels.softmax_losses``; None takes the best.

    Returns:
      () mean over the valid pixels; 0 if there are none. dtype of ``logits``, at least float32.
    """
    kind = jnp.promote_types(logits.dtype, jnp.float32)
    weight = jnp.broadcast_to(valid, warped_labels.shape).astype(kind)
    result = softmax_losses(logits, warped_labels, weight, implementation=implementation)
    return result.cross_entropy / jnp.maximum(jnp.sum(weight), 1)
