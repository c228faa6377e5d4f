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

from s3net_kernels._bilinear import axis_pair
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
_MOST_OFFSET = 2.0**20
"""Offsets beyond say nothing of where to put the window."""


def heuristic(problem: Problem) -> dict[str, int]:
    """Block sizes where none are measured."""
    return {
        "pixels": _SIDE * _SIDE,
        # For more, the window's sums would not fit into the registers.
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
    # Neighbouring pixels side by side: what is made of them keeps that order, and is then stored
    # several at a time.
    planes = [jnp.swapaxes(a, 1, 2) for a in call.flat(offset, mask)]
    dx = launch(
        functools.partial(_kernel, call=call),
        jax.ShapeDtypeStruct(dx.shape, jnp.float32),
        (tiles[0] * tiles[1], call.chunks, call.images),
        call.blocks,
        *planes,
        *call.flat(g),
        by_tap(w).astype(call.kind),
        dx,
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
    side = jnp.arange(_WINDOW, dtype=jnp.int32)[:, None]

    def cotangent(tile):
        outs, present = call.outs(tile)
        index = (image, pixel[:, None], outs[None, :])
        return load(g, index, exists[:, None] & present[None, :]).astype(call.kind)

    # One tile of output channels, the usual case, is loaded once for all the taps.
    whole = cotangent(0) if call.feature_tiles == 1 else None

    def tap(t, carry):
        total, extent = carry
        around = split(t, call.kw)
        starts = [
            place + (step - size // 2)
            for place, step, size in zip((row, column), around, (call.kh, call.kw), strict=True)
        ]
        columns = jnp.zeros((pixel.size, call.blocks["channels"]), jnp.float32)
        for tile in range(call.feature_tiles):
            part = cotangent(tile) if whole is None else whole
            weights = call.matrix(w, group, t, lanes, call.outs(tile))
            columns = columns + matmul(part, weights, (1, 1))
        # Weights by row and by column, (window's side, pixels) each; then by both.
        ones = jnp.zeros((_WINDOW, 1), jnp.int32)
        sides = []
        for axis, start in enumerate(starts):
            shift = load(offset, (image, 2 * t + axis, pixel[None, :] + ones), exists[None, :])
            at = start.astype(jnp.float32)[None, :] + shift
            distance = side.astype(jnp.float32) - (at - origin[axis])
            sides.append(jnp.maximum(1 - jnp.abs(distance), 0))
        sides[0] = sides[0] * load(mask, (image, t, pixel[None, :] + ones), exists[None, :])
        share = (sides[0][:, None, :] * sides[1][None, :, :]).reshape(-1, pixel.size)
        total = total + matmul(share.astype(call.kind), columns.astype(call.kind), (1, 0))
        # What the window does not hold.
        scale = load(mask, (image, t, pixel), exists)
        place = [
            start.astype(jnp.float32) + load(offset, (image, 2 * t + axis, pixel), exists)
            for axis, start in enumerate(starts)
        ]
        low = [jnp.floor(p - o) for p, o in zip(place, origin, strict=True)]
        inside = [(v >= 0) & (v < _WINDOW - 1) for v in low]
        far = exists & ~(inside[0] & inside[1]) & (scale != 0)

        @pl.when(jnp.max(far.astype(jnp.int32)) > 0)
        def _():
            sizes = call.height, call.width
            pairs = [axis_pair(p, size, "zeros") for p, size in zip(place, sizes, strict=True)]

            # A loop, because the sums leave few registers to several corners at once.
            def corner_of(n, _):
                index, weight, held = image, scale, exists
                for pair, v, size, step in zip(pairs, low, sizes, split(n, 2), strict=True):
                    index = index * size + jnp.where(step == 0, pair[0][0], pair[1][0])
                    weight = weight * jnp.where(step == 0, pair[0][1], pair[1][1])
                    at = v + step.astype(jnp.float32)
                    held = held & (at >= 0) & (at < _WINDOW)
                valid = (exists & ~held & (weight != 0))[:, None] & lanes[1][None, :]
                add_at(dx, (index[:, None], lanes[0][None, :]), columns * weight[:, None], valid)
                return 0

            lax.fori_loop(0, 4, corner_of, 0)

        return total, _widened(extent, low, exists)

    start = jnp.zeros((_WINDOW * _WINDOW, call.blocks["channels"]), jnp.float32)
    none = jnp.full(pixel.shape, _WINDOW, jnp.float32), jnp.full(pixel.shape, -2, jnp.float32)
    total, extent = lax.fori_loop(0, call.kh * call.kw, tap, (start, (*none, *none)))
    within = split(jnp.arange(_WINDOW * _WINDOW, dtype=jnp.int32), _WINDOW)
    inside, places = jnp.ones(within[0].shape, jnp.bool_), []
    for axis, size in enumerate((call.height, call.width)):
        q = within[axis]
        least, most = extent[2 * axis : 2 * axis + 2]
        at = origin[axis].astype(jnp.int32) + q
        touched = q.astype(jnp.float32)
        inside = inside & (touched >= jnp.min(least)) & (touched <= jnp.max(most) + 1)
        inside = inside & (at >= 0) & (at < size)
        places.append(at)
    index = (image * call.height + places[0]) * call.width + places[1]
    add_at(dx, (index[:, None], lanes[0][None, :]), total, inside[:, None] & lanes[1][None, :])


def _origin(
    offset, image: Array, pixel: Array, exists: Array, corner: tuple[Array, Array], call: Call
) -> list[Array]:
    """Row and column of the window's first pixel, whole numbers as float32: where the pixels
    sample on average, a number that is not finite set aside, is the window's middle."""
    taps = call.kh * call.kw
    axes = jnp.arange(power_of_two(2 * taps), dtype=jnp.int32)
    there = (axes < 2 * taps)[:, None] & exists[None, :]
    offsets = load(offset, (image, axes[:, None], pixel[None, :]), there)
    offsets = jnp.where(jnp.abs(offsets) < _MOST_OFFSET, offsets, 0)
    count = jnp.sum(exists.astype(jnp.float32)) * taps
    found = []
    for axis, start in enumerate(corner):
        mean = jnp.sum(jnp.where((axes % 2 == axis)[:, None], offsets, 0)) / count
        middle = start.astype(jnp.float32) + (_SIDE - 1) / 2 + mean
        found.append(jnp.floor(middle - (_WINDOW - 2) / 2))
    return found


def _widened(extent: tuple[Array, ...], low: list[Array], exists: Array) -> tuple[Array, ...]:
    """(least row, most row, least column, most column) that each pixel has sampled."""
    found = []
    touches = exists
    for value in low:
        touches = touches & (value >= -1) & (value < _WINDOW)
    for axis, value in enumerate(low):
        least, most = extent[2 * axis : 2 * axis + 2]
        found.append(jnp.where(touches, jnp.minimum(least, value), least))
        found.append(jnp.where(touches, jnp.maximum(most, value), most))
    return tuple(found)
