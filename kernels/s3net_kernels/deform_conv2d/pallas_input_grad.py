"""Pallas kernel of the deformable convolution's gradient by its input, gathered.

Scattering needs an atomic addition for each corner of each tap. Here every pixel looks, for each
tap, at the pixels whose samples may reach it: those within a window around where the tap lies
without offset, of up to three by three pixels. A sample at y spreads max(0, 1 − |y − row|) of
itself over ``row``. The few samples that reach beyond the window are added atomically.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import pallas as pl

from s3net_kernels._pallas import (
    add_at,
    launch,
    load,
    matmul,
    power_of_two,
    split,
    store,
    sum_dtype,
)
from s3net_kernels._tuning import Blocks
from s3net_kernels.deform_conv2d.pallas_kernels import Call, Cell, Place, by_tap
from s3net_kernels.deform_conv2d.pallas_planes import Planes

__all__ = ["add_far", "input_grad", "windows_of"]

_RARE = 1 / 64
"""Share of a tap's samples that are not worth a larger window."""


def windows_of(planes: Planes) -> Array:
    """(N, kh·kw, 4) int32: first and last row, first and last column of each tap's window.

    They count from where the tap lies without offset, from −1 to 1. A window is empty (its last
    row before its first) where few samples lie between −1 and 1.
    """
    images, _, pixels = planes.values.shape
    share = planes.near.sum(1).reshape(images, 2, -1, 2) / pixels
    below, above = share[:, 0] > _RARE, share[:, 1] > _RARE
    bounds = jnp.stack((jnp.where(below, -1, 0), jnp.where(above, 1, 0)), -1)
    some = jnp.all(below | above, -1)[..., None, None]
    return jnp.where(some, bounds, jnp.array([1, 0])).reshape(images, -1, 4)


def input_grad(
    x: Array,
    planes: Array,
    w: Array,
    g: Array,
    windows: Array,
    *,
    blocks: Blocks | None = None,
) -> Array:
    """What of dx (N, H, W, Cin) comes from samples within the windows, dtype of ``sum_dtype``.

    Args:
      x: shape and dtype only.
      planes, w: as in ``pallas_kernels.forward``.
      g: (N, H, W, Cout) cotangent.
      windows: see :func:`windows_of`.
      blocks: block sizes; by default chosen.
    """
    call = Call("input_grad", x, w.shape, blocks)
    dx = launch(
        functools.partial(_input_grad_kernel, call=call),
        jax.ShapeDtypeStruct((call.images * call.pixels, call.channels), sum_dtype(x.dtype)),
        (call.pixel_tiles, call.chunks, call.images),
        call.blocks,
        planes,
        call.flat(g),
        by_tap(w).astype(call.kind),
        windows,
        name="deform_input_grad",
    )
    return dx.reshape(x.shape)


def _window(windows: Any, image: Any, tap: Any) -> list[Any]:
    """First and last row, first and last column of a tap's window."""
    return [load(windows, (image, tap, lax.full_like(image, n))) for n in range(4)]


def _input_grad_kernel(planes, g, w, windows, dx, *, call: Call):
    image, (group, _) = pl.program_id(2), split(pl.program_id(2), call.per_group)
    pixel, exists = call.pixel(pl.program_id(0))
    lanes = call.lanes(pl.program_id(1))
    row, column = split(pixel, call.width)

    features = [call.outs(n) for n in range(call.feature_tiles)]

    def tap(t, total):
        first_row, last_row, first_column, last_column = _window(windows, image, t)
        i, j = split(t, call.kw)

        def from_row(down, sums):
            def from_column(right, sums):
                # The pixel whose tap, without offset, lies that far from this one.
                at = row - i + call.kh // 2 - down, column - j + call.kw // 2 - right
                inside = exists & (at[0] >= 0) & (at[0] < call.height)
                inside = inside & (at[1] >= 0) & (at[1] < call.width)
                source = at[0] * call.width + at[1]
                place = call.place(planes, image, source, inside, t, at)
                share = place.scale
                for position, here in ((place.y, row), (place.x, column)):
                    share = share * jnp.maximum(1 - jnp.abs(position - here), 0)
                found = []
                for total, outs in zip(sums, features, strict=True):
                    index = (image, source[:, None], outs[0][None, :])
                    some = load(g, index, inside[:, None] & outs[1][None, :])
                    found.append(total + some * share[:, None])
                return found

            return lax.fori_loop(first_column, last_column + 1, from_column, sums)

        # The cotangents of the tap's samples, as much of each as reaches the pixel.
        zero = jnp.zeros((call.blocks["pixels"], call.blocks["features"]), jnp.float32)
        zeros = [zero] * len(features)
        gathered = lax.fori_loop(first_row, last_row + 1, from_row, zeros)
        for some, outs in zip(gathered, features, strict=True):
            matrix = call.matrix(w, group, t, lanes, outs)
            total = total + matmul(some.astype(call.kind), matrix, (1, 1))
        return total

    start = jnp.zeros((call.blocks["pixels"], call.blocks["channels"]), jnp.float32)
    total = lax.fori_loop(0, call.kh * call.kw, tap, start)
    index = (image * call.pixels + pixel[:, None], lanes[0][None, :])
    store(dx, index, total, exists[:, None] & lanes[1][None, :])


def add_far(
    dx: Array,
    planes: Array,
    w: Array,
    g: Array,
    windows: Array,
    *,
    blocks: Blocks | None = None,
) -> Array:
    """``dx`` of :func:`input_grad`, and what comes from samples beyond the windows.

    By atomic additions, in no fixed order.
    """
    call = Call("far", dx, w.shape, blocks)
    results = launch(
        functools.partial(_far_kernel, call=call),
        jax.ShapeDtypeStruct((call.images * call.pixels, call.channels), dx.dtype),
        (call.pixel_tiles, call.images),
        call.blocks,
        planes,
        call.flat(g),
        by_tap(w).astype(call.kind),
        windows,
        call.rows(dx),
        name="deform_far",
        aliases={4: 0},
    )
    return results.reshape(dx.shape)


def _far_kernel(planes, g, w, windows, before, dx, *, call: Call):
    # ``dx`` is where ``before`` lay.
    del before
    image = pl.program_id(1)
    group = split(image, call.per_group)[0]
    pixel, exists = call.pixel(pl.program_id(0))

    def far(place: Place, window: list[Any], exists: Array) -> tuple[Cell, list[Array]]:
        """A tap's pixels, and which of them lie in the image, but beyond the window."""
        cell, sides = call.cell(image, place, exists), []
        for n, (position, base) in enumerate(((place.y, place.row), (place.x, place.column))):
            low = jnp.floor(position) - base.astype(jnp.float32)
            first, last = window[2 * n], window[2 * n + 1]
            sides.append([(low + m < first) | (low + m > last) for m in (0, 1)])
        beyond = [down | across for down in sides[0] for across in sides[1]]
        return cell, [f & i for f, i in zip(beyond, cell.inside, strict=True)]

    # All taps at once, to see whether there is anything to do: mostly there is not.
    taps, each = call.kh * call.kw, jnp.arange(power_of_two(call.kh * call.kw), dtype=jnp.int32)
    some = exists[None, :] & (each < taps)[:, None]
    ends = (lax.full_like(image, n) for n in range(4))
    bounds = [load(windows, (image, each, end), each < taps)[:, None] for end in ends]
    place = call.place(planes, image, pixel[None, :], some, each[:, None])
    cell, wanted = far(place, bounds, some)
    pairs = zip(wanted, cell.shares(place.scale), strict=True)
    wanted = functools.reduce(jnp.logical_or, (is_far & (share != 0) for is_far, share in pairs))

    @pl.when(jnp.max(wanted.astype(jnp.int32)) > 0)
    def add():
        def tap(t, _):
            place = call.place(planes, image, pixel, exists, t)
            cell, wanted = far(place, _window(windows, image, t), exists)
            pixels = list(zip(cell.rows, wanted, cell.shares(place.scale), strict=True))
            for chunk in range(call.chunks):
                lanes = call.lanes(chunk)
                columns = jnp.zeros((pixel.size, call.blocks["channels"]), jnp.float32)
                for n in range(call.feature_tiles):
                    outs = call.outs(n)
                    index = (image, pixel[:, None], outs[0][None, :])
                    some_of_g = load(g, index, exists[:, None] & outs[1][None, :], widen=False)
                    matrix = call.matrix(w, group, t, lanes, outs)
                    columns = columns + matmul(some_of_g.astype(call.kind), matrix, (1, 1))
                for row, is_far, share in pixels:
                    valid = (is_far & (share != 0))[:, None] & lanes[1][None, :]
                    index = (row[:, None], lanes[0][None, :])
                    add_at(dx, index, columns * share[:, None], valid)
            return 0

        lax.fori_loop(0, taps, tap, 0)
