"""Pallas kernel that scatters the deformable convolution's gradient by its input.

Every sample is added atomically to the four pixels around it, in no fixed order. Images whose
samples reach far are computed entirely this way, in float32; for the others, only the few samples
that ``pallas_input_grad`` does not gather.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import pallas as pl

from s3net_kernels._pallas import (
    Blocks,
    add_at,
    ceil_div,
    launch,
    load,
    matmul,
    portion,
    round_to_power,
    split,
    store,
)
from s3net_kernels.deform_conv2d.pallas_call import Call, Cell, Place, flatten_taps
from s3net_kernels.deform_conv2d.pallas_input_grad import Reach, window

__all__ = ["add_outliers", "scatter_far"]

_ZEROS = 4096
"""Number of zeros that a program writes."""


def scatter_far(
    x: Array, planes: Array, w: Array, g: Array, reach: Reach, *, blocks: Blocks | None = None
) -> Array:
    """Compute dx (N, H, W, Cin) float32 of the far images; the others are undefined.

    Args:
      x: array whose shape and dtype are used.
      planes: offsets and masks; see ``pallas_kernels.forward``.
      w: kernels; see ``pallas_kernels.forward``.
      g: cotangent (N, H, W, Cout).
      reach: windows and far images; see ``pallas_input_grad``.
      blocks: block sizes; None chooses them.
    """
    call = Call("scatter", x, w.shape, blocks)
    return _scatter(call, _zeros(x.shape, reach), planes, w, g, reach, outliers=False)


def add_outliers(
    dx: Array, planes: Array, w: Array, g: Array, reach: Reach, *, blocks: Blocks | None = None
) -> Array:
    """Add the few samples beyond the windows to dx from ``pallas_input_grad.input_grad``."""
    call = Call("outliers", dx, w.shape, blocks)
    return _scatter(call, dx, planes, w, g, reach, outliers=True)


def _scatter(
    call: Call, dx: Array, planes: Array, w: Array, g: Array, reach: Reach, *, outliers: bool
) -> Array:
    rows = call.rows(dx)
    return launch(
        functools.partial(_scatter_kernel, call=call, outliers=outliers),
        jax.ShapeDtypeStruct(rows.shape, rows.dtype),
        (call.pixel_tiles, call.images),
        call.blocks,
        planes,
        call.flatten(g),
        flatten_taps(w).astype(call.kind),
        *reach,
        rows,
        name="deform_outliers" if outliers else "deform_scatter",
        aliases={5: 0},
    ).reshape(dx.shape)


def _scatter_kernel(planes, g, w, windows, is_far, before, dx, *, call: Call, outliers: bool):
    # ``dx`` shares the memory of ``before``.
    del before
    image = pl.program_id(1)
    group = split(image, call.per_group)[0]
    pixel, exists = call.pixel(pl.program_id(0))
    far = load(is_far, (image,)) > 0

    def add_tap(t: Any, cell: Cell, shares: list[tuple[Array, Array]]) -> None:
        for chunk in range(call.chunks):
            lanes = call.lanes(chunk)
            columns = jnp.zeros((pixel.size, call.blocks["channels"]), jnp.float32)
            for n in range(call.feature_tiles):
                outs = call.outs(n)
                index = (image, pixel[:, None], outs[0][None, :])
                some = load(g, index, exists[:, None] & outs[1][None, :], widen=False)
                matrix = call.matrix(w, group, t, lanes, outs)
                columns = columns + matmul(some.astype(call.kind), matrix, (1, 1))
            for row, (share, wanted) in zip(cell.rows, shares, strict=True):
                index = (row[:, None], lanes[0][None, :])
                add_at(dx, index, columns * share[:, None], wanted[:, None] & lanes[1][None, :])

    if not outliers:

        @pl.when(far)
        def add_all():
            def tap(t, _):
                place = call.place(planes, image, pixel, exists, t)
                cell = call.cell(image, place, exists)
                pairs = zip(cell.shares(place.scale), cell.inside, strict=True)
                add_tap(t, cell, [(share, inside & (share != 0)) for share, inside in pairs])
                return 0

            lax.fori_loop(0, call.kh * call.kw, tap, 0)

        return

    # Check all taps at once whether any has outliers: most tiles have none.
    taps, each = call.kh * call.kw, jnp.arange(round_to_power(call.kh * call.kw), dtype=jnp.int32)
    some = exists[None, :] & (each < taps)[:, None] & ~far
    ends = (lax.full_like(image, n) for n in range(4))
    bounds = [load(windows, (image, each, end), each < taps)[:, None] for end in ends]
    place = call.place(planes, image, pixel[None, :], some, each[:, None])
    found = _find_beyond(call.cell(image, place, some), place, bounds)

    @pl.when(_has_any(found))
    def add_some():
        def tap(t, _):
            place = call.place(planes, image, pixel, exists, t)
            cell = call.cell(image, place, exists)
            found = _find_beyond(cell, place, window(windows, image, t))

            # Most tiles with outliers have them in one tap only.
            @pl.when(_has_any(found))
            def add():
                add_tap(t, cell, found)

            return 0

        lax.fori_loop(0, taps, tap, 0)


def _has_any(shares: list[tuple[Array, Array]]) -> Array:
    """Return a scalar: whether any share must be added."""
    wanted = functools.reduce(jnp.logical_or, (wanted for _, wanted in shares))
    return jnp.max(wanted.astype(jnp.int32)) > 0


def _find_beyond(cell: Cell, place: Place, bounds: list[Array]) -> list[tuple[Array, Array]]:
    """Return the shares of a tap's pixels, and masks of those in the image beyond the window."""
    sides = []
    for n, (position, base) in enumerate(((place.y, place.row), (place.x, place.column))):
        low = jnp.floor(position) - base.astype(jnp.float32)
        first, last = bounds[2 * n], bounds[2 * n + 1]
        sides.append([(low + m < first) | (low + m > last) for m in (0, 1)])
    beyond = [down | across for down in sides[0] for across in sides[1]]
    shares = zip(cell.shares(place.scale), cell.inside, beyond, strict=True)
    return [(share, inside & far & (share != 0)) for share, inside, far in shares]


def _zeros(shape: tuple[int, ...], reach: Reach) -> Array:
    """Make float32 zeros for the far images; the others are undefined."""
    images, height, width, channels = shape
    count = height * width * channels
    zeros = launch(
        functools.partial(_zeros_kernel, count=count),
        jax.ShapeDtypeStruct((images, count), jnp.float32),
        (ceil_div(count, _ZEROS), images),
        {"num_warps": 4},
        reach.far,
        name="deform_zeros",
    )
    return zeros.reshape(shape)


def _zeros_kernel(far, zeros, *, count: int):
    part, image = pl.program_id(0), pl.program_id(1)

    @pl.when(load(far, (image,)) > 0)
    def write():
        index, exists = portion(part, _ZEROS, count)
        store(zeros, (image, index), jnp.zeros(index.shape, jnp.float32), exists)
