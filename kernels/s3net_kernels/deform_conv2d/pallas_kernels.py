"""Pallas kernels of the deformable convolution, forward and by the weights, with their products.

Columns are never written to memory: every kernel samples a tile of pixels for one tap after the
other and multiplies the tile on tensor cores. The precision of these float32 products follows
``jax.default_matmul_precision``, as everywhere in JAX: TF32 unless more is requested. 16-bit
images are multiplied in 16 bits and summed in float32.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import pallas as pl

from s3net_kernels._pallas import Blocks, ceil_div, launch, load, matmul, split, store
from s3net_kernels.deform_conv2d.pallas_call import Call, flatten_taps

__all__ = ["SUMS", "forward", "weight_grad"]

SUMS = 64 * 64
"""Maximum number of sums of the weight gradient in one program, unless one chunk has more."""


def forward(
    x: Array, planes: Array, w: Array, b: Array | None, *, blocks: Blocks | None = None
) -> Array:
    """Compute the convolution.

    Args:
      x: images (N, H, W, Cin).
      planes: offsets and masks, see ``pallas_planes``.
      w: kernels (G, kh, kw, Cin, Cout) of G groups of images; see ``_pallas.batching``.
      b: biases (G, Cout), or None.
      blocks: block sizes; None chooses them.
    """
    call = Call("forward", x, w.shape, blocks)
    kernel = functools.partial(_forward_kernel, call=call, bias=b is not None)
    grid = (call.pixel_tiles, call.feature_tiles, call.images)
    out = jax.ShapeDtypeStruct((call.images, call.pixels, call.features), x.dtype)
    args = [call.rows(x), planes, flatten_taps(w), *([] if b is None else [b])]
    y = launch(kernel, out, grid, call.blocks, *args, name="deform_forward")
    return y.reshape(*x.shape[:3], call.features)


def _forward_kernel(rows, planes, w, *refs, call: Call, bias: bool):
    b, out = refs[0], refs[-1]
    image, (group, _) = pl.program_id(2), split(pl.program_id(2), call.per_group)
    pixel, exists = call.pixel(pl.program_id(0))
    outs = call.outs(pl.program_id(1))

    def tap(t, total):
        place = call.place(planes, image, pixel, exists, t)
        cell = call.cell(image, place, exists)
        for chunk in range(call.chunks):
            lanes = call.lanes(chunk)
            value = cell.blend(rows, lanes, place.scale).astype(call.kind)
            total = total + matmul(value, call.matrix(w, group, t, lanes, outs), (1, 0))
        return total

    start = jnp.zeros((call.blocks["pixels"], call.blocks["features"]), jnp.float32)
    if bias:
        start = start + load(b, (group, outs[0]), outs[1])[None, :]
    total = lax.fori_loop(0, call.kh * call.kw, tap, start)
    index = (image, pixel[:, None], outs[0][None, :])
    store(out, index, total, exists[:, None] & outs[1][None, :])


def weight_grad(
    groups: int,
    x: Array,
    planes: Array,
    g: Array,
    *,
    size: tuple[int, int],
    blocks: Blocks | None = None,
) -> Array:
    """Sum (G, kh, kw, Cin, Cout) float32 over each group's images; bit-identical on every run."""
    shape = (groups, *size, x.shape[3], g.shape[3])
    call = Call("weight_grad", x, shape, blocks)
    parts = ceil_div(call.pixel_tiles, call.blocks["tiles"])
    # Number of chunks of channels whose sums one program holds.
    joined = max(SUMS // (call.blocks["channels"] * call.blocks["features"]), 1)
    joined = min(joined, call.chunks)
    kernel = functools.partial(_weight_grad_kernel, call=call, parts=parts, joined=joined)
    taps = call.kh * call.kw
    partial_shape = (groups, call.per_group * parts, taps, call.channels, call.features)
    partial = launch(
        kernel,
        jax.ShapeDtypeStruct(partial_shape, jnp.float32),
        (taps * ceil_div(call.chunks, joined), call.feature_tiles, call.images * parts),
        call.blocks,
        call.rows(x),
        planes,
        call.flatten(g),
        name="deform_weight_grad",
    )
    return partial.sum(1).reshape(shape)


def _weight_grad_kernel(rows, planes, g, out, *, call: Call, parts: int, joined: int):
    tap, share = split(pl.program_id(0), ceil_div(call.chunks, joined))
    image, part = split(pl.program_id(2), parts)
    chunks = [call.lanes(share * joined + n) for n in range(joined)]
    outs = call.outs(pl.program_id(1))

    def tile(n, totals):
        pixel, exists = call.pixel(part * call.blocks["tiles"] + n)
        place = call.place(planes, image, pixel, exists, tap)
        cell = call.cell(image, place, exists)
        index = (image, pixel[:, None], outs[0][None, :])
        part_of_g = load(g, index, exists[:, None] & outs[1][None, :]).astype(call.kind)
        results = []
        for lanes, total in zip(chunks, totals, strict=True):
            value = cell.blend(rows, lanes, place.scale).astype(call.kind)
            results.append(total + matmul(value, part_of_g, (0, 0)))
        return results

    start = jnp.zeros((call.blocks["channels"], call.blocks["features"]), jnp.float32)
    tiles = min(call.blocks["tiles"], call.pixel_tiles)
    totals = lax.fori_loop(0, tiles, tile, [start] * joined)
    group, member = split(image, call.per_group)
    for lanes, total in zip(chunks, totals, strict=True):
        index = (group, member * parts + part, tap, lanes[0][:, None], outs[0][None, :])
        store(out, index, total, lanes[1][:, None] & outs[1][None, :])
