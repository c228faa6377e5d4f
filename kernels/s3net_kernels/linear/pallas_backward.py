"""Pallas kernel of all gradients of the linear layer; see ``pallas_kernels``."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import pallas as pl

from s3net_kernels._pallas import Blocks, block, launch, load, matmul, split, store
from s3net_kernels.linear.pallas_kernels import Call, fill_optional, normal

__all__ = ["backward"]


def backward(
    groups: int,
    x: Array,
    w: Array,
    b: Array | None,
    g: Array,
    other: Array | None,
    *,
    gelu: bool,
    narrow: bool,
    normalised: tuple[Array, Array] | None = None,
    keep: bool = False,
    blocks: Blocks | None = None,
) -> tuple[Array, Array, Array | None, Array | None]:
    """Compute (dx, dw, db, dy): dx and dy in the dtype of ``x``, the others float32.

    The result is bit-identical on every run.

    Args:
      groups: number of groups of images over which dw (G, K, O) and db (G, O) sum.
      x: images; see ``pallas_kernels.forward``.
      w: weights; see ``pallas_kernels.forward``.
      b: biases; see ``pallas_kernels.forward``.
      g: cotangent (N, rows, O).
      other: array (N, rows, K) to add to dx, or None.
      gelu: whether the activation is GELU.
      narrow: whether to round float32 factors to bfloat16.
      normalised: None, or the layer's result y (N, rows, O) and float32 factors (N, 4, O) of each
        channel: a, b, c and m. The cotangent of y is then dy = a·g + b·(y − m) + c, which holds if
        g is the cotangent of the normalised y.
      keep: whether to return dy (N, rows, O); otherwise it is None.
      blocks: block sizes; None chooses them.
    """
    call = Call("backward", x, w, gelu, narrow, blocks)
    # Without an activation, the gradients do not depend on the biases.
    used = b if gelu else None
    present = (used is not None, other is not None, *[normalised is not None] * 2)
    kernel = functools.partial(
        _backward_kernel,
        call=call,
        gelu=gelu,
        present=present,
        members=call.images // groups,
        bias=b is not None,
        keep=keep,
    )
    # The gradient of the biases is an additional row of the weights' gradient.
    height = call.channels + (b is not None)
    partial_shape = (groups, call.images // groups * call.parts, height, call.features)
    out = [jax.ShapeDtypeStruct(x.shape, x.dtype), jax.ShapeDtypeStruct(partial_shape, jnp.float32)]
    out += [jax.ShapeDtypeStruct(g.shape, x.dtype)] if keep else []
    dx, partial, *dy = launch(
        kernel,
        out,
        (call.parts * call.chunks, call.images),
        call.blocks,
        *(a for a in (x, w, g, used, other, *(normalised or ())) if a is not None),
        name="linear_backward",
    )
    total = partial.sum(1)
    db = None if b is None else total[:, call.channels]
    return dx, total[:, : call.channels], db, dy[0] if keep else None


def _backward_kernel(
    x,
    w,
    g,
    *refs,
    call: Call,
    gelu: bool,
    present: tuple[bool, ...],
    members: int,
    bias: bool,
    keep: bool,
):
    b, other, y, factors, dx, partial, *kept = fill_optional(refs, present)
    part, chunk = split(pl.program_id(0), call.chunks)
    image, (group, _) = pl.program_id(1), split(pl.program_id(1), call.per_group)
    lanes, tiles = call.lanes(chunk), range(call.feature_tiles)
    held = [call.matrix(w, group, chunk, tile) for tile in tiles]
    start = [call.bias(b, group, tile) for tile in tiles] if gelu else []

    def load_factors(tile):
        outs, exist = call.outs(tile)
        return [load(factors, (image, n, outs), exist)[None, :] for n in range(4)]

    of_tiles = [load_factors(tile) for tile in tiles] if factors is not None else []

    def slope(rows, value, tile):
        """Compute the activation's derivative, which needs all input channels."""
        z = jnp.zeros((call.blocks["pixels"], call.blocks["features"]), jnp.float32)
        for n in range(call.chunks):
            factors = value, held[tile]
            if call.chunks > 1:
                of_x = load(x, *block((image,), rows, call.lanes(n))).astype(call.kind)
                factors = of_x, call.matrix(w, group, n, tile)
            z = z + matmul(*factors, (1, 0))
        z = z + start[tile]
        below, density = normal(z)
        return below + z * density

    def row_tile(n, sums):
        rows = call.take_rows(part * call.tiles + n)
        here, exist = block((image,), rows, lanes)
        value = load(x, here, exist).astype(call.kind)
        total = jnp.zeros(exist.shape, jnp.float32)
        results = []
        for tile in tiles:
            there, present_rows = block((image,), rows, call.outs(tile))
            dz = load(g, there, present_rows)
            if of_tiles:
                scale, slope_of_y, shift, mean = of_tiles[tile]
                away = load(y, there, present_rows) - mean
                dz = jnp.where(present_rows, scale * dz + slope_of_y * away + shift, 0)
            if keep:
                store(kept[0], there, dz, present_rows & (chunk == 0))
            if gelu:
                dz = dz * slope(rows, value, tile)
            dw, db = sums[tile]
            db = db + jnp.sum(dz, 0) if bias else db
            dz = dz.astype(call.kind)
            total = total + matmul(dz, held[tile], (1, 1))
            results.append((dw + matmul(value, dz, (0, 0)), db))
        if other is not None:
            total = total + load(other, here, exist)
        store(dx, here, total, exist)
        return results

    shape = (call.blocks["channels"], call.blocks["features"])
    zeros = jnp.zeros(shape, jnp.float32), jnp.zeros(shape[1:] if bias else (1,), jnp.float32)
    sums = lax.fori_loop(0, call.tiles, row_tile, [zeros for _ in tiles])
    group, member = split(image, members)
    for tile, (dw, db) in zip(tiles, sums, strict=True):
        place, outs = (group, member * call.parts + part), call.outs(tile)
        index, mask = block(place, lanes, outs)
        store(partial, index, dw, mask)
        if bias:
            store(partial, (*place, call.channels, outs[0]), db, outs[1] & (chunk == 0))
