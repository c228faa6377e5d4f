"""Spatial consistency: edges of the prediction cost (equation 5)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from s3net_kernels import sobel, softmax_losses

__all__ = ["hard_spatial_consistency", "spatial_consistency"]


def spatial_consistency(logits: Array, implementation: str | None = None) -> Array:
    """L_S = (1/HW) Σ_i Σ_k |X−Y| + |X−XY| + |Y−XY| of the softmax map (equation 5).

    X, Y and XY are the *magnitudes* of the Sobel derivatives d/dx, d/dy and d²/dxdy of
    softmax(S). With signed derivatives |X−Y| would vanish along one diagonal and double along
    the other; with magnitudes the loss of a map equals that of its mirror images and quarter
    turns.

    Args:
      logits: S, (..., H, W, K) floating point, H and W at least 2.
      implementation: of ``s3net_kernels.softmax_losses``; None takes the best.

    Returns:
      () mean over pixels of the sum over clusters, ≥ 0, dtype of ``logits``, at least float32;
      differentiable.
    """
    maps = logits.reshape(-1, *logits.shape[-3:])
    result = softmax_losses(maps, spatial=True, implementation=implementation)
    pixels = maps.shape[0] * maps.shape[1] * maps.shape[2]
    return result.spatial / pixels


def hard_spatial_consistency(labels: Array, palette: Array) -> Array:
    """The released code's L_S: the Sobel edges of a label map painted in grey values.

    Equation 5 with signed derivatives of the image palette[labels], each difference averaged
    over the pixels. It has no gradient, its value depends on the palette, and it charges one
    diagonal twice as much as the other.

    Args:
      labels: (..., H, W) integer in 0..K−1.
      palette: (K,) grey values in [0, 1], floating point; those of a fit are the greys of random
        colours, as released (with U[0, 1) the loss is 1.5 times as large on average).

    Returns:
      () ≥ 0, dtype of ``palette``; no gradient.
    """
    painted = jax.lax.stop_gradient(palette)[labels][..., None]
    x, y, xy = sobel(painted)
    return jnp.mean(jnp.abs(y - x)) + jnp.mean(jnp.abs(xy - x)) + jnp.mean(jnp.abs(xy - y))
