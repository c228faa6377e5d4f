"""Pallas kernels of the deformable convolution's gradients by offsets and mask, and by its kernel.

Both sample as forward does: the corners' values are read again, not kept.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import pallas as pl

from s3net_kernels._bilinear import Corner
from s3net_kernels._pallas import ceil_div, launch, load, matmul, split, store
from s3net_kernels._tuning import Blocks
from s3net_kernels.bilinear_sample.pallas_kernels import blend
from s3net_kernels.deform_conv2d.pallas_kernels import Call, by_tap

__all__ = ["sample_grad", "weight_grad"]

_SUMS = 64 * 64
"""Sums of the weight gradient in one program, where a chunk has not more."""


def sample_grad(
    x: Array,
    offset: Array,
    mask: Array,
    w: Array,
    g: Array,
    *,
    blocks: Blocks | None = None,
) -> tuple[Array, Array]:
    """(doffset, dmask), float32, the same on every run.

    Args:
      x, offset, mask, w: as in :func:`forward`.
      g: (N, H, W, Cout) cotangent.
      blocks: block sizes; by default chosen.
    """
    call = Call("sample_grad", x, w.shape, blocks)
    args = [call.rows(x), *call.flat(offset, mask, g), by_tap(w)]
    doffset, dmask = launch(
        functools.partial(_sample_grad_kernel, call=call),
        [jax.ShapeDtypeStruct(a.shape, jnp.float32) for a in (args[1], args[2])],
        (call.pixel_tiles, call.images),
        call.blocks,
        *args,
        name="deform_sample_grad",
    )
    return doffset.reshape(offset.shape), dmask.reshape(mask.shape)


def _sample_grad_kernel(rows, offset, mask, g, w, doffset, dmask, *, call: Call):
    image, (group, _) = pl.program_id(1), split(pl.program_id(1), call.per_group)
    pixel, exists = call.pixel(pl.program_id(0))

    def cotangent(tile):
        outs, present = call.outs(tile)
        index = (image, pixel[:, None], outs[None, :])
        return load(g, index, exists[:, None] & present[None, :]).astype(call.kind)

    # One tile of output channels, the usual case, is loaded once for all the taps.
    whole = cotangent(0) if call.feature_tiles == 1 else None

    def tap(t, _):
        around = call.around(image, call.place(offset, image, pixel, exists, t))
        scale = load(mask, (image, pixel, t), exists)

        def chunk(n, products):
            lanes = call.lanes(n)
            valid = exists[:, None] & lanes[1][None, :]
            columns = jnp.zeros(valid.shape, jnp.float32)
            for tile in range(call.feature_tiles):
                part = cotangent(tile) if whole is None else whole
                weights = call.matrix(w, group, t, lanes, call.outs(tile))
                columns = columns + matmul(part, weights, (1, 1))
            index = [(corner.row[:, None], lanes[0][None, :]) for corner in around]
            pairs = zip(products, index, strict=True)
            return [product + load(rows, place, valid) * columns for product, place in pairs]

        # Summed over the channels at the end: that takes all threads of a pixel.
        zero = jnp.zeros((pixel.size, call.blocks["channels"]), jnp.float32)
        products = lax.fori_loop(0, call.chunks, chunk, [zero] * 4)
        sums = [jnp.sum(product, 1) for product in products]
        _store_taps(doffset, dmask, (image, pixel, t), exists, around, sums, scale)
        return 0

    lax.fori_loop(0, call.kh * call.kw, tap, 0)


def _store_taps(doffset, dmask, place, exists, around: tuple[Corner, ...], products, scale):
    """Gradients of offset and mask, out of the corners' products with the columns' gradient."""
    image, pixel, tap = place
    pairs = list(zip(products, around, strict=True))
    zero = jnp.zeros(exists.shape, jnp.float32)
    store(dmask, place, sum((p * c.weight for p, c in pairs), zero), exists)
    for axis, of in enumerate(("dy", "dx")):
        total = sum((p * getattr(c, of) for p, c in pairs), zero)
        store(doffset, (image, pixel, 2 * tap + axis), total * scale, exists)


def weight_grad(
    groups: int,
    x: Array,
    offset: Array,
    mask: Array,
    g: Array,
    *,
    size: tuple[int, int],
    blocks: Blocks | None = None,
) -> Array:
    """(G, kh, kw, Cin, Cout) float32 sums over each group's images; the same on every run."""
    shape = (groups, *size, x.shape[3], g.shape[3])
    call = Call("weight_grad", x, shape, blocks)
    parts = ceil_div(call.pixel_tiles, call.blocks["tiles"])
    # Chunks of channels whose sums one program holds.
    together = max(_SUMS // (call.blocks["channels"] * call.blocks["features"]), 1)
    together = min(together, call.chunks)
    kernel = functools.partial(_weight_grad_kernel, call=call, parts=parts, together=together)
    taps = call.kh * call.kw
    partial_shape = (groups, call.per_group * parts, taps, call.channels, call.features)
    partial = launch(
        kernel,
        jax.ShapeDtypeStruct(partial_shape, jnp.float32),
        (taps * ceil_div(call.chunks, together), call.feature_tiles, call.images * parts),
        call.blocks,
        call.rows(x),
        *call.flat(offset, mask, g),
        name="deform_weight_grad",
    )
    return partial.sum(1).reshape(shape)


def _weight_grad_kernel(rows, offset, mask, g, out, *, call: Call, parts: int, together: int):
    tap, share = split(pl.program_id(0), ceil_div(call.chunks, together))
    image, part = split(pl.program_id(2), parts)
    chunks = [call.lanes(share * together + n) for n in range(together)]
    outs = call.outs(pl.program_id(1))

    def tile(n, totals):
        pixel, exists = call.pixel(part * call.blocks["tiles"] + n)
        around = call.around(image, call.place(offset, image, pixel, exists, tap))
        scale = load(mask, (image, pixel, tap), exists)
        index = (image, pixel[:, None], outs[0][None, :])
        part_of_g = load(g, index, exists[:, None] & outs[1][None, :]).astype(call.kind)
        results = []
        for lanes, total in zip(chunks, totals, strict=True):
            valid = exists[:, None] & lanes[1][None, :]
            value = blend(rows, around, scale, lanes[0], valid).astype(call.kind)
            results.append(total + matmul(value, part_of_g, (0, 0)))
        return results

    start = jnp.zeros((call.blocks["channels"], call.blocks["features"]), jnp.float32)
    tiles = min(call.blocks["tiles"], call.pixel_tiles)
    totals = lax.fori_loop(0, tiles, tile, [start] * together)
    group, member = split(image, call.per_group)
    for lanes, total in zip(chunks, totals, strict=True):
        index = (group, member * parts + part, tap, lanes[0][:, None], outs[0][None, :])
        store(out, index, total, lanes[1][:, None] & outs[1][None, :])
