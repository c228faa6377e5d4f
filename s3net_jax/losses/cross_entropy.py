"""Cross entropy to the network's own argmax (equation 4)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

__all__ = ["cross_entropy", "pixel_cross_entropy", "pseudo_label"]


def pseudo_label(logits: Array) -> Array:
    """Y = argmax over clusters: (..., K) logits to (...) int32 in 0..K−1; no gradient."""
    return jnp.argmax(jax.lax.stop_gradient(logits), axis=-1).astype(jnp.int32)


def pixel_cross_entropy(logits: Array, labels: Array) -> Array:
    """−log softmax(logits) at ``labels``, per pixel.

    Args:
      logits: (..., K) floating point.
      labels: (...) integer in 0..K−1.

    Returns:
      (...) non-negative, dtype of ``logits``.
    """
    # A comparison and a sum instead of a gather: it fuses, and so does its gradient.
    chosen = labels[..., None] == jnp.arange(logits.shape[-1], dtype=labels.dtype)
    score = jnp.sum(jnp.where(chosen, logits, 0), axis=-1)
    return jax.nn.logsumexp(logits, axis=-1) - score


def cross_entropy(logits: Array, labels: Array) -> Array:
    """L_ce = −(1/HW) Σ_i Σ_k Y_ik log softmax(S)_ik (equation 4 of the paper).

    Args:
      logits: S, (..., H, W, K) floating point.
      labels: Y as indices, (..., H, W) integer in 0..K−1, usually :func:`pseudo_label` of
        ``logits``.

    Returns:
      () mean over all pixels, dtype of ``logits``.

    >>> import jax.numpy as jnp
    >>> logits = jnp.zeros((4, 4, 2))
    >>> float(cross_entropy(logits, pseudo_label(logits)))  # log 2
    0.6931471824645996
    """
    return jnp.mean(pixel_cross_entropy(logits, labels))
