"""Pallas kernel of the deformable convolution's gradients by its offsets, masks and weights.

A program handles one tap of many pixels, so that it can hold the sums of that tap's weights and
read the corners only once for all three gradients. ``pallas_input_grad`` computes the input's
gradient.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import pallas as pl

from s3net_kernels._pallas import Blocks, ceil_div, launch, load, matmul, split, store
from s3net_kernels.deform_conv2d.pallas_call import Call, Cell, flatten_taps, weigh
from s3net_kernels.deform_conv2d.pallas_kernels import SUMS, weight_grad

__all__ = ["backward"]


def backward(
    groups: int,
    x: Array,
    planes: Array,
    w: Array,
    g: Array,
    *,
    blocks: Blocks | None = None,
) -> tuple[Array, Array, Array]:
    """Compute (doffset, dmask, dw) in float32.

    Args:
      groups: number of groups G of ``dw`` (G, kh, kw, Cin, Cout), which sums over their images.
      x: images; see ``pallas_kernels.forward``.
      planes: offsets and masks; see ``pallas_kernels.forward``.
      w: kernels; see ``pallas_kernels.forward``.
      g: cotangent (N, H, W, Cout).
      blocks: block sizes; None chooses them.
    """
    call = Call("backward", x, w.shape, blocks)
    taps, sizes = call.kh * call.kw, call.blocks
    parts = ceil_div(call.pixel_tiles, sizes["tiles"])
    held = call.chunks * sizes["channels"] * call.feature_tiles * sizes["features"] <= SUMS
    kernel = functools.partial(_backward_kernel, call=call, parts=parts, sums=held)
    maps = (call.images, call.pixels)
    out = [jax.ShapeDtypeStruct((*maps, k * taps), jnp.float32) for k in (2, 1)]
    # Convert the weights to the dtype of the products, which halves the reads of 16-bit factors.
    args = call.rows(x), planes, call.flatten(g), flatten_taps(w).astype(call.kind)
    if held:
        shape = (call.images * parts, taps, call.features, call.channels)
        out.append(jax.ShapeDtypeStruct(shape, jnp.float32))
    grid = (taps, parts, call.images)
    results = launch(kernel, out, grid, sizes, *args, name="deform_backward")
    doffset, dmask = (r.reshape(*x.shape[:3], -1) for r in results[:2])
    size = (call.kh, call.kw)
    if held:
        dw = results[2].reshape(groups, -1, *size, call.features, call.channels).sum(1)
        dw = jnp.swapaxes(dw, -1, -2)
    else:
        dw = weight_grad(groups, x, planes, g, size=size)
    return doffset, dmask, dw


def _backward_kernel(rows, planes, g, w, doffset, dmask, *dw, call: Call, parts: int, sums: bool):
    tap, part, image = (pl.program_id(axis) for axis in range(3))
    group, _ = split(image, call.per_group)
    chunks = [call.lanes(n) for n in range(call.chunks)]
    features = [call.outs(n) for n in range(call.feature_tiles)]

    def matrices():
        return [[call.matrix(w, group, tap, lanes, outs) for outs in features] for lanes in chunks]

    # The weights are the same for all pixels: load them once if they are few enough to hold.
    fixed = matrices() if sums else None

    def tile(n, totals):
        pixel, exists = call.pixel(part * call.blocks["tiles"] + n)
        place = call.place(planes, image, pixel, exists, tap)
        cell = call.cell(image, place, exists)
        shares = cell.shares(place.scale)
        cotangents = []
        for outs in features:
            index = (image, pixel[:, None], outs[0][None, :])
            part_of_g = load(g, index, exists[:, None] & outs[1][None, :], widen=False)
            cotangents.append(part_of_g.astype(call.kind))
        products, found = [jnp.zeros(pixel.shape, jnp.float32)] * 4, []
        for chunk, (lanes, weights) in enumerate(zip(chunks, fixed or matrices(), strict=True)):
            valid = exists[:, None] & lanes[1][None, :]
            samples = cell.samples(rows, lanes)
            columns = jnp.zeros(valid.shape, jnp.float32)
            for part_of_g, matrix in zip(cotangents, weights, strict=True):
                columns = columns + matmul(part_of_g, matrix, (1, 1))
            # A sum over one element makes the compiler change the layout of the columns after it,
            # once, instead of the layout of each of the samples.
            columns = jnp.sum(columns[:, :, None], 2)
            products = [p + jnp.sum(s * columns, 1) for p, s in zip(products, samples, strict=True)]
            value = weigh(samples, shares)
            if sums:
                for m, part_of_g in enumerate(cotangents):
                    more = matmul(part_of_g, value.astype(call.kind), (0, 0))
                    found.append(totals[chunk * call.feature_tiles + m] + more)
        _store_taps(doffset, dmask, (image, pixel, tap), exists, cell, products, place.scale)
        return found

    count = call.chunks * call.feature_tiles if sums else 0
    zero = jnp.zeros((call.blocks["features"], call.blocks["channels"]), jnp.float32)
    tiles = min(call.blocks["tiles"], call.pixel_tiles)
    totals = lax.fori_loop(0, tiles, tile, [zero] * count)
    for n, total in enumerate(totals):
        lanes, outs = chunks[n // call.feature_tiles], features[n % call.feature_tiles]
        index = (image * parts + part, tap, outs[0][:, None], lanes[0][None, :])
        store(dw[0], index, total, outs[1][:, None] & lanes[1][None, :])


def _store_taps(doffset, dmask, at, exists, cell: Cell, products: list[Array], scale: Array):
    """Store the gradients of offset and mask from the products with the columns' gradient."""
    image, pixel, tap = at
    upper_left, upper_right, lower_left, lower_right = products
    left, right = lower_left - upper_left, lower_right - upper_right
    by_y = left + cell.right * (right - left)
    upper = upper_right - upper_left
    by_x = upper + cell.down * (right - left)
    store(dmask, at, upper_left + cell.right * upper + cell.down * by_y, exists)
    store(doffset, (image, pixel, 2 * tap), by_y * scale, exists)
    store(doffset, (image, pixel, 2 * tap + 1), by_x * scale, exists)
