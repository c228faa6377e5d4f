"""Define the public function of the affine warp."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from s3net_kernels._check import require, require_boundary, require_pixels, require_rank, to_float
from s3net_kernels._dispatch import dispatch
from s3net_kernels.operands import AffineWarp

__all__ = ["affine_warp"]


def affine_warp(
    x: ArrayLike,
    matrix: ArrayLike,
    *,
    boundary: str = "zeros",
    implementation: str | None = None,
) -> Array:
    """Warp images by an affine map with bilinear sampling.

    out[n, p] = x[n] at matrix[n] · (p_y, p_x, 1), with the origin at the image's centre
    ((H − 1)/2, (W − 1)/2) on both sides.

    Args:
      x: floating point images (N, H, W, C).
      matrix: floating point matrices (N, 2, 3), or (2, 3) for all images, that map an output pixel
        (y, x, 1) to the input's (y, x), in pixels.
      boundary: values outside the image: ``"zeros"``, or ``"edge"`` to clamp coordinates to the
        image.
      implementation: name of an implementation; None selects the best one.

    Returns:
      Warped images (N, H, W, C) in the dtype of ``x``, computed in the widest dtype of the
      arguments, at least float32.

    Raises:
      ValueError: shapes that do not match, or an unknown boundary.
      TypeError: an argument that is not floating point.
      UnsupportedError: the named implementation cannot serve the call.
    """
    name = "affine_warp"
    x, matrix = to_float(name, "x", x), to_float(name, "matrix", matrix)
    require_rank(name, "x", x, "N, H, W, C")
    require(
        matrix.shape in ((2, 3), (x.shape[0], 2, 3)),
        f"{name}: matrix has shape {matrix.shape}, expected (2, 3), or ({x.shape[0]}, 2, 3) with "
        "one matrix for every image of x.",
    )
    require_pixels(name, x)
    require_boundary(name, boundary)
    matrix = jnp.broadcast_to(matrix, (x.shape[0], 2, 3))
    return dispatch(name, implementation, AffineWarp(x, matrix, boundary=boundary))
