"""Differentiable image operations: Sobel filters; transforms of images and label maps.

A transform maps an output pixel to the input pixel whose value it shows. It is either a matrix
(2, 3), which acts on (y, x) in pixels with the origin at the image's centre ((H − 1)/2,
(W − 1)/2), or an array (H, W, 2) with the source (y, x) of every output pixel, in pixels from the
centre of the first one. :func:`compute_coordinates` makes such an array from a matrix.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from s3net_jax.config import AffineConfig
from s3net_kernels import affine_warp, bilinear_sample, sobel

__all__ = [
    "affine_matrix",
    "compute_coordinates",
    "draw_affine",
    "sobel",
    "warp",
    "warp_labels",
    "warp_valid",
]

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


def compute_coordinates(matrix: Array, shape: tuple[int, int]) -> Array:
    """Compute the source coordinates of every pixel under an affine map or a homography.

    For an elastic deformation, add a displacement field to the coordinates of the identity,
    ``compute_coordinates(jnp.eye(2, 3), shape)``.

    Args:
      matrix: floating point matrix that maps (y, x, 1) of an output pixel, from the image's centre,
        to the input's. (2, 3) is affine, see :func:`affine_matrix`. (3, 3) is a homography: the
        results (y', x', w) are divided by w, which must not be 0 in the image.
      shape: shape of the image (H, W).

    Returns:
      Coordinates (H, W, 2) in the dtype of ``matrix``: (y, x) in pixels from the centre of the
      first pixel, as :func:`warp` takes them.

    Raises:
      ValueError: the matrix has another shape.

    >>> import jax.numpy as jnp
    >>> compute_coordinates(jnp.eye(2, 3), (2, 2)).tolist()
    [[[0.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [1.0, 1.0]]]
    """
    matrix = jnp.asarray(matrix)
    if matrix.shape not in ((2, 3), (3, 3)):
        raise ValueError(f"matrix has the shape {matrix.shape}; give (2, 3) or (3, 3).")
    return jnp.stack(_map_pixels(matrix, shape), -1)


def warp(image: Array, transform: Array, implementation: str | None = None) -> Array:
    """Transform an image by bilinear sampling with coordinates clamped to the edge.

    Args:
      image: floating point image (N, H, W, C).
      transform: matrix (2, 3), see :func:`affine_matrix`; or coordinates (Ho, Wo, 2), see
        :func:`compute_coordinates`.
      implementation: implementation of ``s3net_kernels.affine_warp`` or ``bilinear_sample``; None
        selects the best available one.

    Returns:
      Transformed image (N, H, W, C), or (N, Ho, Wo, C), in the dtype of ``image``; differentiable
      in both arguments. At integer coordinates the derivative by coordinates is the one towards
      larger coordinates; where they are clamped it is 0.
    """
    if transform.ndim == 2:
        return affine_warp(image, transform, boundary="edge", implementation=implementation)
    coords = jnp.broadcast_to(transform, (image.shape[0], *transform.shape))
    return bilinear_sample(image, coords, boundary="edge", implementation=implementation)


def warp_labels(labels: Array, transform: Array) -> Array:
    """Transform an integer label map (N, H, W) by nearest neighbour, clamped to the edge.

    Args:
      labels: label map (N, H, W).
      transform: matrix or coordinates, as for :func:`warp`.
    """
    height, width = labels.shape[-2:]
    y, x = _find_source(transform, (height, width))
    row = jnp.clip(jnp.round(y), 0, height - 1).astype(jnp.int32)
    column = jnp.clip(jnp.round(x), 0, width - 1).astype(jnp.int32)
    return labels[..., row, column]


def warp_valid(transform: Array, shape: tuple[int, int]) -> Array:
    """Return bool (H, W), or (Ho, Wo): whether each output pixel comes from inside the image.

    Args:
      transform: matrix or coordinates, as for :func:`warp`.
      shape: shape of the image (H, W).
    """
    height, width = shape
    y, x = _find_source(transform, shape)
    inside_y = (y >= -_INSIDE) & (y <= height - 1 + _INSIDE)
    inside_x = (x >= -_INSIDE) & (x <= width - 1 + _INSIDE)
    return inside_y & inside_x


def _find_source(transform: Array, shape: tuple[int, int]) -> tuple[Array, Array]:
    """Return the source coordinates y and x of every output pixel."""
    if transform.ndim == 2:
        return _map_pixels(transform, shape)
    return transform[..., 0], transform[..., 1]


def _map_pixels(matrix: Array, shape: tuple[int, int]) -> tuple[Array, Array]:
    """Map the pixels of an image by a matrix (2, 3) or (3, 3): y and x, (H, W) each."""
    height, width = shape
    cy, cx = (height - 1) / 2, (width - 1) / 2
    y = (jnp.arange(height, dtype=matrix.dtype) - cy)[:, None]
    x = (jnp.arange(width, dtype=matrix.dtype) - cx)[None, :]
    # Elementwise, because a matrix product may round its factors.
    row, column, *last = (m[0] * y + m[1] * x + m[2] for m in matrix)
    if last:
        row, column = row / last[0], column / last[0]
    return row + cy, column + cx
