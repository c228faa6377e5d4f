"""Compute the source coordinates of an affine warp."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from s3net_kernels._bilinear import make_pixel_grid

__all__ = ["map_coordinates"]


def map_coordinates(matrix: Array, height: int, width: int) -> Array:
    """Map every output pixel to input coordinates (y, x), counted from the first pixel.

    Args:
      matrix: matrices (N, 2, 3), see ``api.affine_warp``.
      height: height H of the images.
      width: width W of the images.

    Returns:
      Coordinates (N, H, W, 2).
    """
    cy, cx = (height - 1) / 2, (width - 1) / 2
    y, x = make_pixel_grid(height, width, matrix.dtype)
    m = matrix[:, :, :, None, None]
    y, x = y - cy, x - cx
    # Multiply elementwise: a matrix product may round its factors, and coordinates need full
    # precision.
    sides = [m[:, axis, 0] * y + m[:, axis, 1] * x + m[:, axis, 2] for axis in (0, 1)]
    return jnp.stack([sides[0] + cy, sides[1] + cx], -1)
