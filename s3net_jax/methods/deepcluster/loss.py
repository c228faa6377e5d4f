"""The class-balanced cross entropy of DeepCluster."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from s3net_kernels import softmax_losses

__all__ = ["balanced_cross_entropy", "weigh_classes"]


def weigh_classes(labels: Array, classes: int, dtype=jnp.float32) -> Array:
    """Compute weights that give every class the same share of a mean over pixels.

    w_k = n / (K'·n_k) for a class with n_k > 0 of the n pixels, where K' is the number of such
    classes, and 0 for the others. The mean weight of the pixels is 1. DeepCluster draws images
    uniformly over clusters to the same effect (Caron et al., ECCV 2018, section 3.3); without it
    the largest cluster soon takes all pixels.

    Args:
      labels: labels of any shape, integers in 0..classes−1.
      classes: number of classes, K.
      dtype: dtype of the weights.

    Returns:
      The weights, (K,).
    """
    members = labels.reshape(1, -1) == jnp.arange(classes, dtype=labels.dtype)[:, None]
    counts = jnp.sum(members, 1, dtype=jnp.int32)
    present = jnp.sum(counts > 0, dtype=jnp.int32).astype(dtype)
    shares = labels.size / (present * jnp.maximum(counts, 1).astype(dtype))
    return jnp.where(counts > 0, shares, 0)


def balanced_cross_entropy(
    logits: Array, labels: Array, weights: Array, implementation: str | None = None
) -> Array:
    """Compute L = −(1/n) Σ_i w_(Y_i) log softmax(S_i)_(Y_i) over the n pixels of all images.

    Args:
      logits: floating point logits S (N, H, W, K).
      labels: labels Y (N, H, W), integers in 0..K−1.
      weights: weights of the classes (K,), see :func:`weigh_classes`; they get no gradient.
      implementation: implementation of ``s3net_kernels.softmax_losses``; None selects the best
        available one.

    Returns:
      Loss (), in the dtype of ``logits`` but at least float32.
    """
    result = softmax_losses(logits, labels, weights[labels], implementation=implementation)
    return result.cross_entropy / labels.size
