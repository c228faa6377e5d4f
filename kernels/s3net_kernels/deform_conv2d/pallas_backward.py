"""Pallas kernel of the deformable convolution's gradients by its input, offsets and mask."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import pallas as pl

from s3net_kernels._bilinear import Corner
from s3net_kernels._pallas import (
    add_at,
    launch,
    load,
    matmul,
    split,
    store,
    sum_dtype,
    zeros_for_sums,
)
from s3net_kernels._tuning import Blocks
from s3net_kernels.deform_conv2d.pallas_kernels import Call, by_tap
from s3net_kernels.deform_conv2d.pallas_planes import to_planes

__all__ = ["backward"]


def backward(
    x: Array,
    offset: Array,
    mask: Array,
    w: Array,
    g: Array,
    *,
    scatter: bool,
    blocks: Blocks | None = None,
) -> tuple[Array | None, Array, Array]:
    """(dx, doffset, dmask): dx in the dtype of ``sum_dtype``, the others float32.

    Args:
      x, offset, mask, w: as in ``pallas_kernels.forward``.
      g: (N, H, W, Cout) cotangent.
      scatter: whether to compute dx, by atomic additions in no fixed order; None otherwise.
      blocks: block sizes; by default chosen.
    """
    call = Call("backward", x, w.shape, blocks)
    kernel = functools.partial(_backward_kernel, call=call, scatter=scatter)
    # Weights of the dtype they are multiplied in are half as much to read for every tap.
    args = [call.rows(x), to_planes(offset, mask), *call.flat(g), by_tap(w).astype(call.kind)]
    out = [jax.ShapeDtypeStruct(a.shape, jnp.float32) for a in call.flat(offset, mask)]
    if scatter:
        kind = sum_dtype(x.dtype)
        args.append(zeros_for_sums(args[0].shape, g, kind))
        out.append(jax.ShapeDtypeStruct(args[0].shape, kind))
    results = launch(
        kernel,
        out,
        (call.pixel_tiles, call.images),
        call.blocks,
        *args,
        name="deform_backward",
        aliases={4: 2} if scatter else {},
    )
    dx = results[2].reshape(x.shape) if scatter else None
    return dx, results[0].reshape(offset.shape), results[1].reshape(mask.shape)


def _backward_kernel(rows, planes, g, w, *refs, call: Call, scatter: bool):
    doffset, dmask, dx = (*refs[1:],) if scatter else (*refs, None)
    taps = call.kh * call.kw
    image, (group, _) = pl.program_id(1), split(pl.program_id(1), call.per_group)
    pixel, exists = call.pixel(pl.program_id(0))

    def cotangent(tile):
        outs, present = call.outs(tile)
        index = (image, pixel[:, None], outs[None, :])
        return load(g, index, exists[:, None] & present[None, :]).astype(call.kind)

    tiles = range(call.feature_tiles)
    # One tile of output channels, the usual case, is loaded once for all the taps.
    whole = cotangent(0) if call.feature_tiles == 1 else None

    def tap(t, _):
        shift = [load(planes, (image, 2 * t + axis, pixel), exists) for axis in (0, 1)]
        scale = load(planes, (image, 2 * taps + t, pixel), exists)
        around = call.corners(image, pixel, t, shift)
        shares = [corner.weight * scale for corner in around]

        def factors(lanes):
            """The cotangent and the weights of every tile of output channels."""
            parts = [whole] if whole is not None else [cotangent(n) for n in tiles]
            return parts, [call.matrix(w, group, t, lanes, call.outs(n)) for n in tiles]

        def columns_of(parts, weights):
            columns = jnp.zeros((pixel.size, call.blocks["channels"]), jnp.float32)
            for part, matrix in zip(parts, weights, strict=True):
                columns = columns + matmul(part, matrix, (1, 1))
            return columns

        def add(columns, index, share, valid):
            if dx is not None:
                add_at(dx, index, columns * share[:, None], valid & (share != 0)[:, None])

        def by_columns(n, products):
            """Products of the corners with the columns' gradient, for a chunk of channels."""
            lanes = call.lanes(n)
            valid = exists[:, None] & lanes[1][None, :]
            columns, found = columns_of(*factors(lanes)), []
            for product, corner, share in zip(products, around, shares, strict=True):
                index = (corner.row[:, None], lanes[0][None, :])
                found.append(product + load(rows, index, valid) * columns)
                add(columns, index, share, valid)
            return found

        def by_results(n, sums):
            """The same, as products of the corners' results with the cotangent.

            Tensor cores are fast in 16 bits, and the columns' gradient, as they leave it, would
            have to be rearranged for the product with each corner.
            """
            lanes = call.lanes(n)
            valid = exists[:, None] & lanes[1][None, :]
            parts, weights = factors(lanes)
            columns, found = columns_of(parts, weights), []
            for total, corner, share in zip(sums, around, shares, strict=True):
                index = (corner.row[:, None], lanes[0][None, :])
                value = load(rows, index, valid).astype(call.kind)
                for part, matrix in zip(parts, weights, strict=True):
                    product = matmul(value, matrix, (1, 0)) * part.astype(jnp.float32)
                    total = total + jnp.sum(product, 1)
                found.append(total)
                add(columns, index, share, valid)
            return found

        if sum_dtype(rows.dtype) == jnp.float32:
            # Summed over the channels at the end: that takes all threads of a pixel.
            zero = jnp.zeros((pixel.size, call.blocks["channels"]), jnp.float32)
            products = lax.fori_loop(0, call.chunks, by_columns, [zero] * 4)
            sums = [jnp.sum(product, 1) for product in products]
        else:
            sums = [jnp.zeros(pixel.shape, jnp.float32)] * 4
            for n in range(call.chunks):
                sums = by_results(n, sums)
        _store_taps(doffset, dmask, (image, pixel, t), exists, around, sums, scale)
        return 0

    lax.fori_loop(0, taps, tap, 0)


def _store_taps(doffset, dmask, place, exists, around: tuple[Corner, ...], products, scale):
    """Gradients of offset and mask, out of the corners' products with the columns' gradient."""
    image, pixel, tap = place
    pairs = list(zip(products, around, strict=True))
    zero = jnp.zeros(exists.shape, jnp.float32)
    store(dmask, place, sum((p * c.weight for p, c in pairs), zero), exists)
    for axis, of in enumerate(("dy", "dx")):
        total = sum((p * getattr(c, of) for p, c in pairs), zero)
        store(doffset, (image, pixel, 2 * tap + axis), total * scale, exists)
