"""The terms of the joint loss, each a pure function of logits (equations 4 to 7)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from s3net_kernels import sobel, softmax_losses

__all__ = [
    "affine_consistency",
    "cross_entropy",
    "edge_aware_consistency",
    "hard_spatial_consistency",
    "pseudo_label",
    "spatial_consistency",
]


def pseudo_label(logits: Array) -> Array:
    """Return Y = argmax over clusters: (..., K) logits to (...) int32 in 0..K−1; no gradient."""
    return jnp.argmax(jax.lax.stop_gradient(logits), axis=-1).astype(jnp.int32)


def cross_entropy(logits: Array, labels: Array, implementation: str | None = None) -> Array:
    """Compute L_ce = −(1/HW) Σ_i Σ_k Y_ik log softmax(S)_ik (equation 4 of the paper).

    Args:
      logits: floating point logits S (..., H, W, K).
      labels: cluster indices Y (..., H, W), integers in 0..K−1, usually :func:`pseudo_label` of
        ``logits``.
      implementation: implementation of ``s3net_kernels.softmax_losses``; None selects the best
        available one.

    Returns:
      Mean over all pixels, (), in the dtype of ``logits`` but at least float32.

    Raises:
      ValueError: the shapes do not match.

    >>> import jax.numpy as jnp
    >>> logits = jnp.zeros((4, 4, 2))
    >>> float(cross_entropy(logits, pseudo_label(logits)))  # log 2
    0.6931471824645996
    """
    if logits.ndim < 3 or labels.shape != logits.shape[:-1]:
        raise ValueError(
            f"cross_entropy expects labels (..., H, W) and logits (..., H, W, K), got shapes "
            f"{labels.shape} and {logits.shape}."
        )
    maps = logits.reshape(-1, *logits.shape[-3:])
    result = softmax_losses(maps, labels.reshape(maps.shape[:3]), implementation=implementation)
    return result.cross_entropy / labels.size


def affine_consistency(
    logits: Array, warped_labels: Array, valid: Array, implementation: str | None = None
) -> Array:
    """Compute L_AT = −(1/|V|) Σ_{i∈V} Σ_k Y^a_ik log Y'_ik over valid pixels V (equation 6).

    Y^a is the transformed pseudo label of the main path, Y' the softmax of the second path's
    logits for the transformed input. Pixels whose source is outside the image do not count, where
    the paper divides by HW: the scale of the loss then does not depend on the transform.

    Args:
      logits: floating point logits (N, H, W, K) of the second path.
      warped_labels: transformed pseudo label (N, H, W), integers in 0..K−1.
      valid: bool mask of valid pixels, broadcastable to (N, H, W).
      implementation: implementation of ``s3net_kernels.softmax_losses``; None selects the best
        available one.

    Returns:
      Mean over the valid pixels, (), or 0 if there are none; in the dtype of ``logits`` but at
      least float32.
    """
    kind = jnp.promote_types(logits.dtype, jnp.float32)
    weight = jnp.broadcast_to(valid, warped_labels.shape).astype(kind)
    result = softmax_losses(logits, warped_labels, weight, implementation=implementation)
    return result.cross_entropy / jnp.maximum(jnp.sum(weight), 1)


def spatial_consistency(logits: Array, implementation: str | None = None) -> Array:
    """Compute L_S = (1/HW) Σ_i Σ_k |X−Y| + |X−XY| + |Y−XY| of the softmax map (equation 5).

    The paper has no factor 1/HW. The mean has the scale of the other terms, as in the released
    code; multiply the weight by HW for the sum.

    X, Y and XY are the *magnitudes* of the Sobel derivatives d/dx, d/dy and d²/dxdy of
    softmax(S). With signed derivatives |X−Y| would vanish along one diagonal and double along
    the other; with magnitudes the loss is invariant under mirroring and quarter turns.

    Args:
      logits: floating point logits S (..., H, W, K), H and W at least 2.
      implementation: implementation of ``s3net_kernels.softmax_losses``; None selects the best
        available one.

    Returns:
      Mean over pixels of the sum over clusters, (), ≥ 0, in the dtype of ``logits`` but at least
      float32; differentiable.
    """
    maps = logits.reshape(-1, *logits.shape[-3:])
    result = softmax_losses(maps, spatial=True, implementation=implementation)
    pixels = maps.shape[0] * maps.shape[1] * maps.shape[2]
    return result.spatial / pixels


def edge_aware_consistency(logits: Array, images: Array, scale: float = 0.1) -> Array:
    """Compute a spatial loss that lets labels change where the image does.

    L = (1/N) Σ_{(i,j)} exp(−‖I_i − I_j‖² / (2 scale²)) Σ_k |p_ik − p_jk| over the pairs (i, j) of
    horizontal and vertical neighbours of all N pixels, with the colours I and p = softmax(S). It is
    the edge-aware smoothness of Godard et al. (CVPR 2017), applied to label probabilities, with the
    weight of the bilateral filter.

    Args:
      logits: floating point logits S (..., H, W, K), H and W at least 2.
      images: colours (..., H, W, C), with the same leading axes; their values are those of the
        network's input, in [0, 1] for prepared images.
      scale: standard deviation of the weight in units of the colours, above 0.

    Returns:
      Mean over pixels, (), ≥ 0, in the dtype of ``logits`` but at least float32; differentiable
      with respect to ``logits`` and ``images``.

    Raises:
      ValueError: the shapes do not match.

    >>> import jax.numpy as jnp
    >>> image = jnp.zeros((2, 2, 1)).at[:, 1].set(1.0)  # an edge between the columns
    >>> logits = 50 * jnp.stack([image[..., 0], 1 - image[..., 0]], -1)  # labels follow it
    >>> float(edge_aware_consistency(logits, image)) < 1e-6
    True
    """
    if logits.ndim < 3 or images.shape[:-1] != logits.shape[:-1]:
        raise ValueError(
            f"edge_aware_consistency expects logits (..., H, W, K) and images (..., H, W, C), got "
            f"shapes {logits.shape} and {images.shape}."
        )
    kind = jnp.promote_types(logits.dtype, jnp.float32)
    soft = jax.nn.softmax(logits.astype(kind), -1)
    colors = images.astype(kind)
    total = jnp.zeros((), kind)
    for axis in (-3, -2):
        squared = jnp.sum(jnp.diff(colors, axis=axis) ** 2, -1)
        steps = jnp.sum(jnp.abs(jnp.diff(soft, axis=axis)), -1)
        total += jnp.sum(jnp.exp(-squared / (2 * scale**2)) * steps)
    return total / (logits.size // logits.shape[-1])


def hard_spatial_consistency(labels: Array, palette: Array) -> Array:
    """Compute the released code's L_S: Sobel edges of a label map painted in grey values.

    Equation 5 with signed derivatives of the image palette[labels], each difference averaged
    over the pixels. It has no gradient, its value depends on the palette, and it weights one
    diagonal twice as much as the other.

    Args:
      labels: cluster indices (..., H, W), integers in 0..K−1.
      palette: floating point grey values (K,) in [0, 1]. A fit uses the greys of random colours,
        as released (U[0, 1) would make the loss 1.5 times as large on average).

    Returns:
      Loss (), ≥ 0, in the dtype of ``palette``; no gradient.
    """
    painted = jax.lax.stop_gradient(palette)[labels][..., None]
    x, y, xy = sobel(painted)
    return jnp.mean(jnp.abs(y - x)) + jnp.mean(jnp.abs(xy - x)) + jnp.mean(jnp.abs(xy - y))
