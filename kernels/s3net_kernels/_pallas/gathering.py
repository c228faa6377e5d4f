"""Compute the gradient of sampling by the image without atomics: bit-identical on every run.

This inverts the scatter: the samples are sorted by the cell of four pixels that contains them,
and each pixel gathers, in that order, the samples of the four cells it belongs to.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import pallas as pl

from s3net_kernels._pallas.backend import launch
from s3net_kernels._pallas.device import ceil_div, round_to_power
from s3net_kernels._pallas.memory import load, split, store
from s3net_kernels._pallas.tuning import Blocks, Problem, choose

__all__ = ["candidates", "gather_sum", "heuristic"]


def heuristic(problem: Problem) -> dict[str, int]:
    """Choose block sizes without measurements."""
    return {"pixels": 8, "channels": min(round_to_power(problem.channels), 64), "num_warps": 2}


def candidates(problem: Problem) -> list[dict[str, int]]:
    """List block sizes worth measuring."""
    channels = min(round_to_power(problem.channels), 64)
    return [
        {"pixels": pixels, "channels": channels, "num_warps": warps}
        for pixels in (1, 2, 4, 8, 16, 32)
        for warps in (1, 2, 4)
        if 1 <= pixels * channels // (32 * warps) <= 32
    ]


def gather_sum(
    y: Array,
    x: Array,
    scale: Array | None,
    values: Array,
    size: tuple[int, int],
    *,
    boundary: str = "zeros",
    blocks: Blocks | None = None,
) -> Array:
    """Sum weight · scale · value over the samples at each pixel: (N, H, W, C) float32.

    Args:
      y: row coordinates (N, S), float32.
      x: column coordinates (N, S), float32.
      scale: factors (N, S), or None.
      values: values (N, S, C) that each sample spreads over its four pixels.
      size: (H, W) of the images.
      boundary: ``"zeros"`` or ``"edge"``, as for sampling.
      blocks: block sizes; None chooses them.
    """
    (images, _, channels), (height, width) = values.shape, size
    kind = values.dtype.name
    problem = Problem("bilinear_sample.gather_sum", kind, images, height, width, channels)
    blocks = blocks or choose(problem, heuristic)
    if boundary == "edge":
        y, x = jnp.clip(y, 0, height - 1), jnp.clip(x, 0, width - 1)
    outside = ~((y > -1) & (y < height) & (x > -1) & (x < width))
    y, x = jnp.where(outside, 0, y), jnp.where(outside, 0, x)
    top, left = jnp.floor(y), jnp.floor(x)
    # Cell (−1, −1) comes first; an extra last cell collects samples outside the image.
    count = (height + 1) * (width + 1)
    cell = (top.astype(jnp.int32) + 1) * (width + 1) + left.astype(jnp.int32) + 1
    cell = jnp.where(outside, count, cell)
    order = jnp.argsort(cell, axis=1, stable=True)
    ordered = jnp.take_along_axis(cell, order, 1)
    bounds = jnp.arange(count + 1, dtype=jnp.int32)
    starts = jax.vmap(lambda row: jnp.searchsorted(row, bounds))(ordered)
    down, right = y - top, x - left
    shares = [(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right]
    weights = jnp.stack(shares, -1) * (1 if scale is None else scale[..., None])
    span = blocks["pixels"], blocks["channels"]
    kernel = functools.partial(_kernel, extent=(height, width, channels), span=span)
    pixels = height * width
    grid = (ceil_div(pixels, span[0]), ceil_div(channels, span[1]), images)
    out = jax.ShapeDtypeStruct((images, pixels, channels), jnp.float32)
    args = (starts.astype(jnp.int32), order.astype(jnp.int32), weights, values)
    total = launch(kernel, out, grid, blocks, *args, name="bilinear_gather_sum")
    return total.reshape(images, height, width, channels)


def _kernel(starts, order, weights, values, out, *, extent, span):
    height, width, channels = extent
    pixel = pl.program_id(0) * span[0] + jnp.arange(span[0], dtype=jnp.int32)
    lanes = pl.program_id(1) * span[1] + jnp.arange(span[1], dtype=jnp.int32)
    image, exists = pl.program_id(2), pixel < height * width
    inside = (lanes < channels)[None, :]
    row, column = split(pixel, width)
    total = jnp.zeros(span, jnp.float32)
    for corner in range(4):
        cell = (row + 1 - corner // 2) * (width + 1) + column + 1 - corner % 2
        begin = load(starts, (image, cell), exists)
        length = load(starts, (image, cell + 1), exists) - begin

        def sample(n, total, corner=corner, begin=begin, length=length):
            used = exists & (n < length)
            index = load(order, (image, begin + n), used)
            weight = load(weights, (image, index, corner), used)
            mask = used[:, None] & inside
            value = load(values, (image, index[:, None], lanes[None, :]), mask)
            return total + weight[:, None] * value

        total = lax.fori_loop(0, jnp.max(length), sample, total)
    store(out, (image, pixel[:, None], lanes[None, :]), total, exists[:, None] & inside)
