"""Pallas kernels of the deformable convolution, each fused with its matrix product.

No columns reach memory: every kernel samples a tile of pixels for one tap after the other, and
multiplies the tile on tensor cores. The precision of these products of float32 follows
``jax.default_matmul_precision``, as everywhere in JAX: TF32 unless more is asked for. 16-bit
images are multiplied in 16 bits and summed in float32.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import pallas as pl

from s3net_kernels._bilinear import corners
from s3net_kernels._pallas import (
    LEAST_SIDE,
    ceil_div,
    launch,
    load,
    matmul,
    portion,
    power_of_two,
    split,
    store,
    sum_dtype,
)
from s3net_kernels._tuning import Blocks, Problem, choose
from s3net_kernels.bilinear_sample.pallas_kernels import blend

__all__ = ["Call", "by_tap", "candidates", "forward", "heuristic", "weight_grad"]

_SUMS = 64 * 64
"""Sums of the weight gradient in one program, where a chunk has not more."""


def heuristic(problem: Problem) -> dict[str, int]:
    """Block sizes of every kernel where none are measured."""
    backward = problem.kernel.endswith("backward")
    gradient = problem.kernel.endswith("weight_grad")
    # With sums in 16 bits, backward takes all channels at once; see ``pallas_backward``.
    whole = backward and sum_dtype(problem.dtype) != jnp.float32
    channels = max(LEAST_SIDE, power_of_two(problem.channels))
    return {
        "pixels": 64 if gradient or whole else 32,
        # Where a pixel samples is found once for all chunks of channels, by as many threads as a
        # chunk takes: small chunks, few threads that do the same.
        "channels": min(channels, 64 if whole else LEAST_SIDE if backward else 32),
        "features": max(LEAST_SIDE, min(power_of_two(problem.features), 64)),
        "tiles": 32,
        "num_warps": 4,
        "num_stages": 1 if gradient or (backward and not whole) else 3,
    }


def candidates(problem: Problem) -> list[dict[str, int]]:
    """Block sizes of every kernel worth measuring."""
    base = heuristic(problem)
    gradient = problem.kernel.endswith("weight_grad")
    most = max(LEAST_SIDE, power_of_two(problem.channels))
    return [
        {**base, "pixels": p, "channels": c, "tiles": t, "num_warps": warps, "num_stages": stages}
        for p in (32, 64)
        for c in {min(most, LEAST_SIDE), min(most, 32), base["channels"]}
        for t in ((32, 128) if gradient else (base["tiles"],))
        for warps in (2, 4, 8)
        for stages in (1, 2, 3)
        if 4 <= p * c // (32 * warps) <= 32
    ]


class Call:
    """Shapes and block sizes of one call, and what its kernels share."""

    def __init__(self, direction: str, x: Array, w_shape: tuple[int, ...], blocks: Blocks | None):
        self.images, self.height, self.width, self.channels = x.shape
        self.groups, self.kh, self.kw, _, self.features = w_shape
        problem = Problem(
            f"deform_conv2d.{direction}",
            x.dtype.name,
            self.images,
            self.height,
            self.width,
            self.channels,
            self.features,
            (self.kh, self.kw),
        )
        self.blocks = blocks or choose(problem, heuristic)
        self.pixels = self.height * self.width
        self.kind = jnp.float32 if x.dtype.itemsize > 2 else x.dtype
        self.chunks = ceil_div(self.channels, self.blocks["channels"])
        self.feature_tiles = ceil_div(self.features, self.blocks["features"])
        self.pixel_tiles = ceil_div(self.pixels, self.blocks["pixels"])
        self.per_group = self.images // self.groups

    def flat(self, *arrays: Array) -> list[Array]:
        """(N, H, W, ...) as (N, H·W, ...)."""
        return [a.reshape(self.images, self.pixels, a.shape[3]) for a in arrays]

    def rows(self, x: Array) -> Array:
        """(N, H, W, C) as (N·H·W, C)."""
        return x.reshape(self.images * self.pixels, self.channels)

    def pixel(self, tile: Any) -> tuple[Array, Array]:
        """The pixels of a tile, and which of them exist."""
        return portion(tile, self.blocks["pixels"], self.pixels)

    def lanes(self, chunk: Any) -> tuple[Array, Array]:
        """The input channels of a chunk, and which of them exist."""
        return portion(chunk, self.blocks["channels"], self.channels)

    def outs(self, tile: Any) -> tuple[Array, Array]:
        """The output channels of a tile, and which of them exist."""
        return portion(tile, self.blocks["features"], self.features)

    def around(self, offset: Any, image: Any, pixel: Array, exists: Array, tap: Any):
        """The corners that tap ``tap`` of each pixel samples."""
        shift = [load(offset, (image, pixel, 2 * tap + axis), exists) for axis in (0, 1)]
        return self.corners(image, pixel, tap, shift)

    def corners(self, image: Any, pixel: Array, tap: Any, shift: list[Array]):
        """The corners around each pixel's place of ``tap`` plus ``shift``, (dy, dx)."""
        (i, j), (row, column), (dy, dx) = split(tap, self.kw), split(pixel, self.width), shift
        y = (row + i - self.kh // 2).astype(jnp.float32) + dy
        x = (column + j - self.kw // 2).astype(jnp.float32) + dx
        return corners(image, y, x, (self.height, self.width))

    def matrix(self, w: Any, group: Any, tap: Any, lanes, outs) -> Array:
        """(channels, features) weights of a tap."""
        index = (group, tap, lanes[0][:, None], outs[0][None, :])
        return load(w, index, lanes[1][:, None] & outs[1][None, :]).astype(self.kind)


def forward(
    x: Array,
    offset: Array,
    mask: Array,
    w: Array,
    b: Array | None,
    *,
    blocks: Blocks | None = None,
) -> Array:
    """The convolution, with kernels (G, kh, kw, Cin, Cout), biases (G, Cout); see ``_batching``."""
    call = Call("forward", x, w.shape, blocks)
    kernel = functools.partial(_forward_kernel, call=call, bias=b is not None)
    grid = (call.pixel_tiles, call.feature_tiles, call.images)
    out = jax.ShapeDtypeStruct((call.images, call.pixels, call.features), x.dtype)
    args = [call.rows(x), *call.flat(offset, mask), by_tap(w), *([] if b is None else [b])]
    y = launch(kernel, out, grid, call.blocks, *args, name="deform_forward")
    return y.reshape(*x.shape[:3], call.features)


def _forward_kernel(rows, offset, mask, w, *refs, call: Call, bias: bool):
    b, out = refs[0], refs[-1]
    image, (group, _) = pl.program_id(2), split(pl.program_id(2), call.per_group)
    pixel, exists = call.pixel(pl.program_id(0))
    outs = call.outs(pl.program_id(1))

    def tap(t, total):
        around = call.around(offset, image, pixel, exists, t)
        scale = load(mask, (image, pixel, t), exists)
        for chunk in range(call.chunks):
            lanes = call.lanes(chunk)
            valid = exists[:, None] & lanes[1][None, :]
            value = blend(rows, around, scale, lanes[0], valid).astype(call.kind)
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
        around = call.around(offset, image, pixel, exists, tap)
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


def by_tap(w: Array) -> Array:
    """(G, kh, kw, Cin, Cout) as (G, kh·kw, Cin, Cout)."""
    return w.reshape(w.shape[0], w.shape[1] * w.shape[2], *w.shape[3:])
