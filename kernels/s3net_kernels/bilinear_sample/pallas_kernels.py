"""Pallas kernels of bilinear sampling: forward, and gradients by coordinates and image."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import Array
from jax.experimental import pallas as pl

from s3net_kernels._bilinear import Corner, find_corners
from s3net_kernels._pallas import (
    Blocks,
    Problem,
    add_at,
    ceil_div,
    choose,
    launch,
    load,
    make_zeros_for_sums,
    round_to_power,
    store,
)

__all__ = ["backward", "blend", "candidates", "forward", "heuristic"]


def heuristic(problem: Problem) -> dict[str, int]:
    """Choose block sizes for both kernels without measurements."""
    channels = min(round_to_power(problem.channels), 64)
    # The backward pass holds four addresses of each element for its atomic additions, so its tiles
    # are half as large.
    most = 1024 if problem.kernel.endswith("backward") else 2048
    pixels = min(round_to_power(problem.height * problem.width), most // channels)
    return {"pixels": pixels, "channels": channels, "num_warps": 4}


def candidates(problem: Problem) -> list[dict[str, int]]:
    """List block sizes for both kernels worth measuring."""
    most = round_to_power(problem.channels)
    return [
        {"pixels": pixels, "channels": channels, "num_warps": warps}
        for channels in {min(most, 16), min(most, 32), min(most, 64), min(most, 128)}
        for pixels in (8, 16, 32, 64, 128)
        for warps in (1, 2, 4, 8)
        if 2 <= pixels * channels // (32 * warps) <= 64
    ]


def blend(rows: Array, around: tuple[Corner, ...], scale: Array | None, lanes, mask) -> Array:
    """Interpolate (P, C) values from the (N·H·W, C) image reference, times ``scale``."""
    value = jnp.zeros(mask.shape, jnp.float32)
    for corner in around:
        weight = corner.weight if scale is None else corner.weight * scale
        value = value + load(rows, (corner.row[:, None], lanes[None, :]), mask) * weight[:, None]
    return value


def _problem(direction: str, x: Array, coords: Array) -> Problem:
    height, width = coords.shape[1:3]
    name = f"bilinear_sample.{direction}"
    return Problem(name, x.dtype.name, x.shape[0], height, width, x.shape[3])


def _flatten(x: Array, coords: Array) -> tuple[Array, Array]:
    batch, height, width, channels = x.shape
    return x.reshape(batch * height * width, channels), coords.reshape(batch, -1, 2)


def forward(x: Array, coords: Array, *, boundary: str, blocks: Blocks | None = None) -> Array:
    """Sample (N, H, W, C) images at (N, Ho, Wo, 2) float32 coordinates, in the dtype of x."""
    blocks = blocks or choose(_problem("forward", x, coords), heuristic)
    (images, height, width, channels), (out_height, out_width) = x.shape, coords.shape[1:3]
    pixels = out_height * out_width
    span = blocks["pixels"], blocks["channels"]
    kernel = functools.partial(
        _forward_kernel,
        extent=(height, width, channels, pixels),
        span=span,
        boundary=boundary,
    )
    grid = (ceil_div(pixels, span[0]), ceil_div(channels, span[1]), images)
    out = jax.ShapeDtypeStruct((images, pixels, channels), x.dtype)
    y = launch(kernel, out, grid, blocks, *_flatten(x, coords), name="bilinear_forward")
    return y.reshape(images, out_height, out_width, channels)


def _forward_kernel(rows, coords, out, *, extent, span, boundary):
    height, width, channels, pixels = extent
    pixel = pl.program_id(0) * span[0] + jnp.arange(span[0], dtype=jnp.int32)
    lanes = pl.program_id(1) * span[1] + jnp.arange(span[1], dtype=jnp.int32)
    image, exists = pl.program_id(2), pixel < pixels
    y, x = (load(coords, (image, pixel, axis), exists) for axis in (0, 1))
    mask = exists[:, None] & (lanes < channels)[None, :]
    value = blend(rows, find_corners(image, y, x, (height, width), boundary), None, lanes, mask)
    store(out, (image, pixel[:, None], lanes[None, :]), value, mask)


def backward(
    x: Array, coords: Array, g: Array, *, boundary: str, scatter: bool, blocks: Blocks | None = None
) -> tuple[Array | None, Array]:
    """Compute (dx, dcoords) in float32.

    Args:
      x: images; see :func:`forward`.
      coords: coordinates; see :func:`forward`.
      g: cotangent (N, Ho, Wo, C).
      boundary: values outside the image; see :func:`forward`.
      scatter: whether to compute dx, by atomic additions in no fixed order; otherwise it is None.
      blocks: block sizes; None chooses them.
    """
    blocks = blocks or choose(_problem("backward", x, coords), heuristic)
    images, height, width, channels = x.shape
    pixels = coords.shape[1] * coords.shape[2]
    span = blocks["pixels"], blocks["channels"]
    kernel = functools.partial(
        _backward_kernel,
        extent=(height, width, channels, pixels),
        span=span,
        boundary=boundary,
        scatter=scatter,
    )
    rows, flat = _flatten(x, coords)
    args = [rows, flat, g.reshape(images, pixels, channels)]
    out = [jax.ShapeDtypeStruct(flat.shape, jnp.float32)]
    if scatter:
        # Sum in float32: sums in bfloat16 would only just meet the tolerance for that dtype.
        args.append(make_zeros_for_sums(rows.shape, g))
        out.append(jax.ShapeDtypeStruct(rows.shape, jnp.float32))
    grid = (ceil_div(pixels, span[0]), images)
    aliases = {3: 1} if scatter else {}
    results = launch(kernel, out, grid, blocks, *args, name="bilinear_backward", aliases=aliases)
    return results[1].reshape(x.shape) if scatter else None, results[0].reshape(coords.shape)


def _backward_kernel(rows, coords, g, *refs, extent, span, boundary, scatter):
    dcoords, dx = (refs[1], refs[2]) if scatter else (refs[0], None)
    height, width, channels, pixels = extent
    pixel = pl.program_id(0) * span[0] + jnp.arange(span[0], dtype=jnp.int32)
    image, exists = pl.program_id(1), pixel < pixels
    y, x = (load(coords, (image, pixel, axis), exists) for axis in (0, 1))
    around = find_corners(image, y, x, (height, width), boundary)
    dy = dz = jnp.zeros(span[:1], jnp.float32)
    for chunk in range(ceil_div(channels, span[1])):
        lanes = chunk * span[1] + jnp.arange(span[1], dtype=jnp.int32)
        mask = exists[:, None] & (lanes < channels)[None, :]
        part = load(g, (image, pixel[:, None], lanes[None, :]), mask)
        for corner in around:
            index = (corner.row[:, None], lanes[None, :])
            product = jnp.sum(load(rows, index, mask) * part, 1)
            dy, dz = dy + product * corner.dy, dz + product * corner.dx
            if dx is not None:
                touched = mask & (corner.weight != 0)[:, None]
                add_at(dx, index, part * corner.weight[:, None], touched)
    store(dcoords, (image, pixel, 0), dy, exists)
    store(dcoords, (image, pixel, 1), dz, exists)
