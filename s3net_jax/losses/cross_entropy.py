"""Cross entropy to the network's own argmax (equation 4)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from s3net_kernels import softmax_losses

__all__ = ["cross_entropy", "pseudo_label"]


def pseudo_label(logits: Array) -> Array:
    """Y = argmax over clusters: (..., K) logits to (...) int32 in 0..K−1; no gradient."""
    return jnp.argmax(jax.lax.stop_gradient(logits), axis=-1).astype(jnp.int32)


def cross_entropy(logits: Array, labels: Array, implementation: str | None = None) -> Array:
    """L_ce = −(1/HW) Σ_i Σ_k Y_ik log softmax(S)_ik (equation 4 of the paper).

    Args:
      logits: S, (..., H, W, K) floating point.
      labels: Y as indices, (..., H, W) integer in 0..K−1, usually :func:`pseudo_label` of
        ``logits``.
      implementation: of ``s3net_kernels.softmax_losses``; None takes the best.

    Returns:
      () mean over all pixels, dtype of ``logits``, at least float32.

    Raises:
      ValueError: the shapes don't belong together.

    >>> import jax.numpy as jnp
    >>> logits = jnp.zeros((4, 4, 2))
    >>> float(cross_entropy(logits, pseudo_label(logits)))  # log 2
    0.6931471824645996
    """
    if logits.ndim < 3 or labels.shape != logits.shape[:-1]:
        raise ValueError(
            f"cross_entropy: labels have shape {labels.shape} and logits {logits.shape}: "
            "(..., H, W) and (..., H, W, K) are expected."
        )
    maps = logits.reshape(-1, *logits.shape[-3:])
    result = softmax_losses(maps, labels.reshape(maps.shape[:3]), implementation=implementation)
    return result.cross_entropy / labels.size
