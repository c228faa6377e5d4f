"""Differentiable image operations: Sobel filters; affine transforms of images and label maps.

A matrix maps an output pixel to the input pixel whose value it shows. Coordinates are (y, x)
in pixels, with the origin at the image's centre ((H − 1)/2, (W − 1)/2).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from s3net_jax.config import AffineConfig
from s3net_kernels import affine_warp, sobel

__all__ = ["affine_matrix", "draw_affine", "sobel", "warp", "warp_labels", "warp_valid"]

# Tolerance in pixels for sources just outside the image: far above the float32 rounding of a
# rotation's coordinates, far below what could be seen.
_INSIDE = 1e-3


def affine_matrix(rotation: Array, translation: Array, scale: Array, shear: Array) -> Array:
    """Compute the matrix of the inverse of translate ∘ rotate ∘ shear ∘ scale.

    Args:
      rotation: angle () in degrees, counter-clockwise as the image is displayed.
      translation: shift (2,) of the content in pixels (y, x).
      scale: zoom factor (), positive.
      shear: angle () in degrees; x grows by tan(shear)·y.

    Returns:
      Floating point matrix (2, 3) that acts on (y, x, 1).
    """
    angle = jnp.deg2rad(rotation)
    c, s, k = jnp.cos(angle), jnp.sin(angle), jnp.tan(jnp.deg2rad(shear))
    linear = jnp.stack([jnp.stack([c, s]), jnp.stack([-s - k * c, c - k * s])]) / scale
    return jnp.concatenate([linear, -(linear @ translation)[:, None]], axis=1)


def draw_affine(
    key: Array, config: AffineConfig, shape: tuple[int, int], dtype=jnp.float32
) -> Array:
    """Draw a (2, 3) matrix with every parameter uniform in its configured range.

    Args:
      key: a PRNG key.
      config: ranges of the parameters; translations are fractions of the sides in ``shape``.
      shape: image shape (H, W).
      dtype: dtype of the matrix.
    """
    keys = jax.random.split(key, 4)

    def uniform(k: Array, limits: tuple[float, float], size: tuple[int, ...] = ()) -> Array:
        return jax.random.uniform(k, size, dtype, limits[0], limits[1])

    sides = jnp.asarray(shape, dtype)
    return affine_matrix(
        uniform(keys[0], config.rotation),
        uniform(keys[1], config.translation, (2,)) * sides,
        uniform(keys[2], config.scale),
        uniform(keys[3], config.shear),
    )


def warp(image: Array, matrix: Array, implementation: str | None = None) -> Array:
    """Transform an image by bilinear sampling with coordinates clamped to the edge.

    Args:
      image: floating point image (N, H, W, C).
      matrix: matrix (2, 3); see :func:`affine_matrix`.
      implementation: implementation of ``s3net_kernels.affine_warp``; None selects the best
        available one.

    Returns:
      Transformed image (N, H, W, C) in the dtype of ``image``; differentiable in both arguments.
    """
    return affine_warp(image, matrix, boundary="edge", implementation=implementation)


def warp_labels(labels: Array, matrix: Array) -> Array:
    """Transform an integer label map (N, H, W) by nearest neighbour, clamped to the edge."""
    height, width = labels.shape[-2:]
    y, x = _compute_source(matrix, height, width)
    row = jnp.clip(jnp.round(y), 0, height - 1).astype(jnp.int32)
    column = jnp.clip(jnp.round(x), 0, width - 1).astype(jnp.int32)
    return labels[..., row, column]


def warp_valid(matrix: Array, shape: tuple[int, int]) -> Array:
    """Return (H, W) bool: whether each transformed pixel comes from inside the image."""
    height, width = shape
    y, x = _compute_source(matrix, height, width)
    inside_y = (y >= -_INSIDE) & (y <= height - 1 + _INSIDE)
    inside_x = (x >= -_INSIDE) & (x <= width - 1 + _INSIDE)
    return inside_y & inside_x


def _compute_source(matrix: Array, height: int, width: int) -> tuple[Array, Array]:
    """Compute source coordinates y and x, (H, W) each, counted from the image's first pixel."""
    cy, cx = (height - 1) / 2, (width - 1) / 2
    y = (jnp.arange(height, dtype=matrix.dtype) - cy)[:, None]
    x = (jnp.arange(width, dtype=matrix.dtype) - cx)[None, :]
    m = matrix
    return m[0, 0] * y + m[0, 1] * x + m[0, 2] + cy, m[1, 0] * y + m[1, 1] * x + m[1, 2] + cx
