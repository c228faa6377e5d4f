"""Compute Sobel derivatives as OpenCV defines them."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from s3net_kernels._check import require, to_float

__all__ = ["sobel"]


def sobel(image: Array) -> tuple[Array, Array, Array]:
    """Compute 3×3 Sobel derivatives d/dx, d/dy and d²/dxdy of each channel.

    The kernels are not normalised: derivative [−1, 0, 1], smoothing [1, 2, 1], and the derivative
    in both directions for the mixed one. The border is reflected without repeating its pixel
    (OpenCV's ``BORDER_REFLECT_101``).

    Args:
      image: floating point image (..., H, W, C), H and W at least 2.

    Returns:
      Derivatives along W (x), along H (y) and both, in the shape and dtype of ``image``.

    Raises:
      ValueError: fewer than three axes, or fewer than 2 pixels a side.
      TypeError: an image that is not floating point.
    """
    image = to_float("sobel", "image", image)
    require(image.ndim >= 3, f"sobel: image has shape {image.shape}, expected (..., H, W, C).")
    difference_x, smooth_x = _three_taps(image, -2)
    return (
        _three_taps(difference_x, -3)[1],
        _three_taps(smooth_x, -3)[0],
        _three_taps(difference_x, -3)[0],
    )


def _three_taps(a: Array, axis: int) -> tuple[Array, Array]:
    """Return (a[i+1] − a[i−1], a[i−1] + 2·a[i] + a[i+1]) along ``axis`` with reflected border."""
    if a.shape[axis] < 2:
        raise ValueError(f"A Sobel filter needs at least 2 pixels a side, got shape {a.shape}.")
    width = [(0, 0)] * a.ndim
    width[axis] = (1, 1)
    padded = jnp.pad(a, width, mode="reflect")
    n = a.shape[axis]
    before = _slice(padded, axis, 0, n)
    after = _slice(padded, axis, 2, n)
    return after - before, before + 2 * a + after


def _slice(a: Array, axis: int, start: int, size: int) -> Array:
    index = [slice(None)] * a.ndim
    index[axis] = slice(start, start + size)
    return a[tuple(index)]
