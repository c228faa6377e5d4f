"""Pallas kernel of the deformable convolution's gradient by its input.

Neighbouring pixels and taps sample nearly the same places, so most of what they give to the image
can be added before it reaches memory. A program takes a square of pixels and a larger square of
the image, the window, that lies where the pixels sample on average. What all taps give to it is a
sum of matrix products, (window, pixels) · (pixels, channels): the first factor holds the bilinear
weights, max(0, 1 − |y − row|) · max(0, 1 − |x − column|) · mask. Samples that leave the window,
where offsets differ much, are added to the image one by one; so any offset is right, and close
ones are fast. A number that is not finite spreads over the window.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import pallas as pl

from s3net_kernels._pallas import (
    LEAST_SIDE,
    add_at,
    ceil_div,
    launch,
    load,
    matmul,
    power_of_two,
    split,
    zeros_for_sums,
)
from s3net_kernels._tuning import Blocks, Problem
from s3net_kernels.deform_conv2d.pallas_kernels import Call, by_tap

__all__ = ["candidates", "heuristic", "input_grad"]

_SIDE = 8
"""Side of the square of pixels."""
_WINDOW = 16
"""Side of the window: what nine taps around the pixels reach, and two pixels on each side."""


def heuristic(problem: Problem) -> dict[str, int]:
    """Block sizes where none are measured."""
    return {
        "pixels": _SIDE * _SIDE,
        # For more, weights and sums would not fit into the registers.
        "channels": min(max(LEAST_SIDE, power_of_two(problem.channels)), 32),
        "features": max(LEAST_SIDE, min(power_of_two(problem.features), 64)),
        "num_warps": 8,
        "num_stages": 1,
    }


def candidates(problem: Problem) -> list[dict[str, int]]:
    """Block sizes worth measuring."""
    base = heuristic(problem)
    most = min(max(LEAST_SIDE, power_of_two(problem.channels)), 64)
    return [
        {**base, "channels": channels, "num_warps": warps, "num_stages": stages}
        for channels in {min(most, 32), most}
        for warps in (4, 8, 16)
        for stages in (1, 2)
    ]


def input_grad(
    x: Array, offset: Array, mask: Array, w: Array, g: Array, *, blocks: Blocks | None = None
) -> Array:
    """(N, H, W, Cin) float32, summed by atomic additions in no fixed order.

    Args:
      x, offset, mask, w: as in ``pallas_kernels.forward``; of x, shape and dtype are read.
      g: (N, H, W, Cout) cotangent.
      blocks: block sizes; by default chosen.
    """
    call = Call("input_grad", x, w.shape, blocks, heuristic)
    tiles = ceil_div(call.height, _SIDE), ceil_div(call.width, _SIDE)
    dx = zeros_for_sums((call.images * call.pixels, call.channels), g)
    args = [*call.flat(offset, mask, g), by_tap(w), dx]
    dx = launch(
        functools.partial(_kernel, call=call),
        jax.ShapeDtypeStruct(dx.shape, jnp.float32),
        (tiles[0] * tiles[1], call.chunks, call.images),
        call.blocks,
        *args,
        name="deform_input_grad",
        aliases={4: 0},
    )
    return dx.reshape(x.shape)


def _kernel(offset, mask, g, w, _, dx, *, call: Call):
    image, (group, _) = pl.program_id(2), split(pl.program_id(2), call.per_group)
    lanes = call.lanes(pl.program_id(1))
    tile_row, tile_column = split(pl.program_id(0), ceil_div(call.width, _SIDE))
    corner = tile_row * _SIDE, tile_column * _SIDE
    down, across = split(jnp.arange(_SIDE * _SIDE, dtype=jnp.int32), _SIDE)
    row, column = corner[0] + down, corner[1] + across
    exists = (row < call.height) & (column < call.width)
    pixel = row * call.width + column
    origin = _origin(offset, image, pixel, exists, corner, call)
    within = split(jnp.arange(_WINDOW * _WINDOW, dtype=jnp.int32), _WINDOW)

    def cotangent(tile):
        outs, present = call.outs(tile)
        index = (image, pixel[:, None], outs[None, :])
        return load(g, index, exists[:, None] & present[None, :]).astype(call.kind)

    # One tile of output channels, the usual case, is loaded once for all the taps.
    whole = cotangent(0) if call.feature_tiles == 1 else None

    def tap(t, carry):
        total, extent = carry
        place = call.place(offset, image, pixel, exists, t)
        scale = load(mask, (image, pixel, t), exists)
        columns = jnp.zeros((pixel.size, call.blocks["channels"]), jnp.float32)
        for tile in range(call.feature_tiles):
            part = cotangent(tile) if whole is None else whole
            columns = columns + matmul(
                part, call.matrix(w, group, t, lanes, call.outs(tile)), (1, 1)
            )
        relative = [p - o for p, o in zip(place, origin, strict=True)]
        # Of the corner above and left.
        low = [jnp.floor(r) for r in relative]
        near = exists & (low[0] >= 0) & (low[0] < _WINDOW - 1)
        near = near & (low[1] >= 0) & (low[1] < _WINDOW - 1)
        share = jnp.where(near, scale, 0)[None, :]
        for r, q in zip(relative, within, strict=True):
            distance = q.astype(jnp.float32)[:, None] - jnp.where(near, r, 0)[None, :]
            share = share * jnp.maximum(1 - jnp.abs(distance), 0)
        total = total + matmul(share.astype(call.kind), columns.astype(call.kind), (1, 0))
        far = exists & ~near & (scale != 0)

        @pl.when(jnp.max(far.astype(jnp.int32)) > 0)
        def _():
            for c in call.around(image, place):
                weight = c.weight * scale
                index = (c.row[:, None], lanes[0][None, :])
                valid = (far & (weight != 0))[:, None] & lanes[1][None, :]
                add_at(dx, index, columns * weight[:, None], valid)

        return total, _widened(extent, low, near)

    start = jnp.zeros((_WINDOW * _WINDOW, call.blocks["channels"]), jnp.float32)
    none = jnp.full(pixel.shape, _WINDOW, jnp.float32), jnp.full(pixel.shape, -2, jnp.float32)
    total, extent = lax.fori_loop(0, call.kh * call.kw, tap, (start, (*none, *none)))
    inside, places = jnp.ones(within[0].shape, jnp.bool_), []
    for axis, size in enumerate((call.height, call.width)):
        q = within[axis]
        least, most = (edge.astype(jnp.int32) for edge in extent[2 * axis : 2 * axis + 2])
        at = origin[axis].astype(jnp.int32) + q
        inside = inside & (q >= jnp.min(least)) & (q <= jnp.max(most) + 1)
        inside = inside & (at >= 0) & (at < size)
        places.append(at)
    index = (image * call.height + places[0]) * call.width + places[1]
    add_at(dx, (index[:, None], lanes[0][None, :]), total, inside[:, None] & lanes[1][None, :])


def _origin(
    offset, image: Array, pixel: Array, exists: Array, corner: tuple[Array, Array], call: Call
) -> list[Array]:
    """Row and column of the window's first pixel, whole numbers as float32."""
    taps = call.kh * call.kw
    axes = jnp.arange(power_of_two(2 * taps), dtype=jnp.int32)
    there = exists[:, None] & (axes < 2 * taps)[None, :]
    offsets = load(offset, (image, pixel[:, None], axes[None, :]), there)
    count = jnp.sum(exists.astype(jnp.float32)) * taps
    found = []
    for axis, start in enumerate(corner):
        mean = jnp.sum(jnp.where((axes % 2 == axis)[None, :], offsets, 0)) / count
        middle = start.astype(jnp.float32) + (_SIDE - 1) / 2 + mean
        found.append(jnp.floor(middle - (_WINDOW - 2) / 2))
    return found


def _widened(extent: tuple[Array, ...], low: list[Array], near: Array) -> tuple[Array, ...]:
    """(least row, most row, least column, most column) that each pixel has sampled."""
    found = []
    for axis, value in enumerate(low):
        least, most = extent[2 * axis : 2 * axis + 2]
        found.append(jnp.where(near, jnp.minimum(least, value), least))
        found.append(jnp.where(near, jnp.maximum(most, value), most))
    return tuple(found)
