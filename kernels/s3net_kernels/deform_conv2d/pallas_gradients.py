"""Pallas kernel of the deformable convolution's gradients by offsets, mask and kernel.

The corners of a sample are read once for all three. A program keeps one tap and walks over tiles
of pixels: the tap's weights, and the sums of their gradient, stay in registers.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import pallas as pl

from s3net_kernels._bilinear import Corner
from s3net_kernels._pallas import ceil_div, launch, load, matmul, split, store
from s3net_kernels._tuning import Blocks
from s3net_kernels.deform_conv2d.pallas_kernels import Call, by_tap

__all__ = ["gradients"]

_SUMS = 64 * 64
"""Sums of the weight gradient in one program, where a chunk has not more."""


def gradients(
    groups: int,
    x: Array,
    offset: Array,
    mask: Array,
    w: Array,
    g: Array,
    *,
    blocks: Blocks | None = None,
) -> tuple[Array, Array, Array]:
    """(doffset, dmask, dw), all float32, the same on every run.

    Args:
      groups: how many groups of images the (groups, kh, kw, Cin, Cout) weight gradient has.
      x, offset, mask, w: as in ``pallas_kernels.forward``.
      g: (N, H, W, Cout) cotangent.
      blocks: block sizes; by default chosen.
    """
    call = Call("gradients", x, w.shape, blocks)
    parts = ceil_div(call.pixel_tiles, call.blocks["tiles"])
    # Chunks of channels whose sums one program holds.
    together = max(_SUMS // (call.blocks["channels"] * call.blocks["features"]), 1)
    together = min(together, call.chunks)
    # Each share of the channels and features adds to the gradients of offset and mask.
    shares = ceil_div(call.chunks, together) * call.feature_tiles
    members, taps = call.images // groups, call.kh * call.kw
    kernel = functools.partial(
        _kernel, call=call, members=members, parts=parts, together=together, shares=shares
    )
    args = [call.rows(x), *call.flat(offset, mask, g), by_tap(w)]
    shapes = [
        (shares, *args[1].shape),
        (shares, *args[2].shape),
        (groups, members * parts, taps, call.channels, call.features),
    ]
    doffset, dmask, dw = launch(
        kernel,
        [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes],
        (taps * shares, call.images * parts),
        call.blocks,
        *args,
        name="deform_gradients",
    )
    return (
        doffset.sum(0).reshape(offset.shape),
        dmask.sum(0).reshape(mask.shape),
        dw.sum(1).reshape(groups, *w.shape[1:]),
    )


def _kernel(
    rows,
    offset,
    mask,
    g,
    w,
    doffset,
    dmask,
    dw,
    *,
    call: Call,
    members: int,
    parts: int,
    together: int,
    shares: int,
):
    tap, share = split(pl.program_id(0), shares)
    image, part = split(pl.program_id(1), parts)
    first, feature_tile = split(share, call.feature_tiles)
    outs = call.outs(feature_tile)
    chunks = [call.lanes(first * together + n) for n in range(together)]
    weights = [call.matrix(w, split(image, call.per_group)[0], tap, c, outs) for c in chunks]

    def tile(n, totals):
        pixel, exists = call.pixel(part * call.blocks["tiles"] + n)
        around = call.around(image, call.place(offset, image, pixel, exists, tap))
        scale = load(mask, (image, pixel, tap), exists)
        index = (image, pixel[:, None], outs[0][None, :])
        cotangent = load(g, index, exists[:, None] & outs[1][None, :]).astype(call.kind)
        products = [jnp.zeros((pixel.size, call.blocks["channels"]), jnp.float32)] * 4
        sums = []
        for lanes, weight, total in zip(chunks, weights, totals, strict=True):
            valid = exists[:, None] & lanes[1][None, :]
            columns = matmul(cotangent, weight, (1, 1))
            value = jnp.zeros(valid.shape, jnp.float32)
            for k, corner in enumerate(around):
                found = load(rows, (corner.row[:, None], lanes[0][None, :]), valid)
                products[k] = products[k] + found * columns
                value = value + found * (corner.weight * scale)[:, None]
            sums.append(total + matmul(value.astype(call.kind), cotangent, (0, 0)))
        place = (share, image, pixel, tap)
        _store_taps(doffset, dmask, place, exists, around, [p.sum(1) for p in products], scale)
        return sums

    start = jnp.zeros((call.blocks["channels"], call.blocks["features"]), jnp.float32)
    tiles = min(call.blocks["tiles"], call.pixel_tiles)
    totals = lax.fori_loop(0, tiles, tile, [start] * together)
    group, member = split(image, members)
    for lanes, total in zip(chunks, totals, strict=True):
        index = (group, member * parts + part, tap, lanes[0][:, None], outs[0][None, :])
        store(dw, index, total, lanes[1][:, None] & outs[1][None, :])


def _store_taps(
    doffset: Any,
    dmask: Any,
    place: tuple[Any, ...],
    exists: Array,
    around: tuple[Corner, ...],
    products: list[Array],
    scale: Array,
) -> None:
    """Gradients of offset and mask, out of the corners' products with the columns' gradient."""
    *lead, tap = place
    pairs = list(zip(products, around, strict=True))
    zero = jnp.zeros(exists.shape, jnp.float32)
    store(dmask, place, sum((p * c.weight for p, c in pairs), zero), exists)
    for axis, of in enumerate(("dy", "dx")):
        total = sum((p * getattr(c, of) for p, c in pairs), zero)
        store(doffset, (*lead, 2 * tap + axis), total * scale, exists)
