"""Interpolate bilinearly with four weighted rows of a flattened image, and differentiate it.

Shared by the plain-JAX implementations of the sampling operators. Interpolation has a kink at
integer coordinates; the derivative used there is the one towards larger coordinates.

A NaN or infinite pixel reaches exactly the samples that include it: those whose coordinate is
less than one pixel away, or exactly one pixel below it (with weight 0). Positions outside the
image contribute nothing. A NaN coordinate gives NaN.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

__all__ = ["Corner", "add_rows", "find_corners", "interpolate", "make_pixel_grid", "take_rows"]


class Corner(NamedTuple):
    """One of the four pixels around each coordinate; every field has the coordinates' shape."""

    row: Array
    """int32 index into the rows of the (N·H·W, C) image; always a valid row."""
    weight: Array
    """Weight of the pixel in the sum; zero outside the image."""
    dy: Array
    """Derivative of ``weight`` by y."""
    dx: Array
    """Derivative of ``weight`` by x."""
    inside: Array
    """Whether the pixel exists. If not, ``row`` points to another pixel and the value must be
    masked, because a weight of zero would not exclude infinity or NaN."""


def find_corners(
    image: Array, y: Array, x: Array, size: tuple[int, int], boundary: str = "zeros"
) -> tuple[Corner, ...]:
    """Find the four pixels around each coordinate.

    Args:
      image: int32 index of the image that each coordinate points into; broadcasts to ``y``.
      y: floating point row coordinates in pixels, counted from the first pixel. NaN stays NaN.
      x: column coordinates, as ``y``.
      size: (H, W) of the images.
      boundary: ``"zeros"`` outside the image, or ``"edge"`` for the nearest pixel of the edge.

    Returns:
      The corners upper left, upper right, lower left and lower right.
    """
    height, width = size
    found = []
    for row, wy, dwy, in_y in _axis(y, height, boundary):
        for column, wx, dwx, in_x in _axis(x, width, boundary):
            index = (image * height + row) * width + column
            found.append(Corner(index, wy * wx, dwy * wx, wy * dwx, in_y & in_x))
    return tuple(found)


def _axis(p: Array, length: int, boundary: str) -> list[tuple[Array, Array, Array, Array]]:
    """Return (index, weight, its derivative, is inside) for the pixels below and above ``p``."""
    below_range, above_range = (0, length - 1) if boundary == "edge" else (-1, length)
    outside = (p < below_range) | (p > above_range)
    # Clip first: distant coordinates would overflow the conversion to an integer.
    near = jnp.clip(jnp.nan_to_num(p), below_range, above_range)
    low = jnp.floor(near)
    fraction = jnp.where(jnp.isnan(p), p, near) - low
    slope = jnp.where(outside, 0, 1).astype(p.dtype)
    pair = []
    for step, weight, sign in ((0, 1 - fraction, -1), (1, fraction, 1)):
        index = low.astype(jnp.int32) + step
        if boundary == "zeros":
            inside = (index >= 0) & (index < length)
            weight, derivative = jnp.where(inside, weight, 0), jnp.where(inside, sign * slope, 0)
            inside &= ~outside & ~jnp.isnan(p)
        else:
            derivative, inside = sign * slope, ~jnp.isnan(p)
        pair.append((jnp.clip(index, 0, length - 1), weight, derivative, inside))
    return pair


def interpolate(rows: Array, around: tuple[Corner, ...], kind, scale: Array | None = None) -> Array:
    """Compute Σ over the corners of weight · row, times ``scale``: (..., C) in dtype ``kind``.

    Args:
      rows: flattened images (N·H·W, C).
      around: corners of each coordinate.
      kind: dtype to compute in.
      scale: factor of each coordinate, or None.
    """
    value = jnp.zeros((), kind)
    for corner in around:
        weight = corner.weight if scale is None else corner.weight * scale
        value = value + take_rows(rows, corner).astype(kind) * weight[..., None].astype(kind)
    return value


def take_rows(rows: Array, corner: Corner) -> Array:
    """Take the rows of a corner's pixels, with zeros where the pixel does not exist."""
    taken = rows.at[corner.row].get(mode="promise_in_bounds")
    return jnp.where(corner.inside[..., None], taken, 0)


def add_rows(total: Array, around: tuple[Corner, ...], values: Array) -> Array:
    """Add weight · value at the corners to ``total`` (N·H·W, C); transposes :func:`interpolate`."""
    for corner in around:
        share = values * corner.weight[..., None].astype(values.dtype)
        share = jnp.where(corner.inside[..., None], share, 0)
        total = total.at[corner.row].add(share, mode="promise_in_bounds")
    return total


def make_pixel_grid(height: int, width: int, kind) -> tuple[Array, Array]:
    """Return pixel coordinates (H, 1) and (1, W)."""
    return jnp.arange(height, dtype=kind)[:, None], jnp.arange(width, dtype=kind)[None, :]
