"""Pallas kernels of the dense convolution: forward (and dx), and the weight gradient.

Patches are never written to memory: every kernel loads a shifted tile of pixels for one slice of
the kernel's matrix (kh·kw·Cin, Cout) after the other and multiplies it on tensor cores. A slice
is one tap with some of its channels, or several taps if the image has too few channels to fill
it. The weight gradient keeps the sums of many slices in registers, so that it reads its two
images from memory only once. The precision of float32 products follows
``jax.default_matmul_precision``, as everywhere in JAX: TF32 unless more is requested. 16-bit
images are multiplied in 16 bits and summed in float32.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import pallas as pl

from s3net_kernels._pallas import (
    LEAST_SIDE,
    Blocks,
    Problem,
    ceil_div,
    choose,
    launch,
    load,
    matmul,
    portion,
    round_to_power,
    split,
    store,
)

__all__ = ["candidates", "correlate", "heuristic", "weight_grad"]


_SUMS = 80
"""Maximum number of sums of the weight gradient that a thread holds in registers."""

_PROGRAMS = 256
"""Programs of the weight gradient: enough to fill a GPU, and few because each writes sums as large
as the kernel."""


def heuristic(problem: Problem) -> dict[str, int]:
    """Choose block sizes for either kernel without measurements."""
    forward = problem.kernel.endswith("correlate")
    # The weight gradient's sums leave few registers for its tile of pixels.
    most = 128 if forward else 32 if problem.dtype == "float32" else 64
    rows = min(round_to_power(problem.height), 8)
    columns = min(round_to_power(problem.width), most // rows)
    blocks = {
        "pixels": max(LEAST_SIDE, rows * columns),
        "rows": rows,
        "channels": max(LEAST_SIDE, min(round_to_power(_lanes(problem)), 64)),
        "features": max(LEAST_SIDE, min(round_to_power(problem.features), 64)),
        "num_warps": 8,
        # More stages would use asynchronous copies, which bypass the L1 cache, where most values
        # of a tile already are from earlier taps.
        "num_stages": 1,
    }
    if forward:
        return blocks
    call = _Call(problem, 1, blocks)
    blocks["slices"] = round_to_power(min(call.slices, call.taps))
    while blocks["slices"] > 1 and _sums(problem, blocks) > _SUMS:
        blocks["slices"] //= 2
    return {**blocks, "tiles": _tiles(problem, blocks, _PROGRAMS)}


def candidates(problem: Problem) -> list[dict[str, int]]:
    """List block sizes for either kernel worth measuring."""
    base = heuristic(problem)
    tried = [
        {**base, "pixels": pixels, "rows": rows, "num_warps": warps, "num_stages": stages}
        for pixels in (32, 64, 128)
        for rows in {1, base["rows"]}
        for warps in (4, 8)
        for stages in (1, 2, 3)
    ]
    if problem.kernel.endswith("correlate"):
        return tried
    tried = [
        {**blocks, "slices": slices}
        for blocks in tried
        for slices in {base["slices"], max(1, base["slices"] // 4)}
        # With two stages, every slice has its own buffer in shared memory.
        if blocks["num_stages"] == 1
        or (blocks["num_stages"] == 2 and blocks["pixels"] * slices <= 256)
    ]
    return [
        {**blocks, "tiles": tiles}
        for blocks in tried
        if _sums(problem, blocks) <= _SUMS
        for tiles in {_tiles(problem, blocks, n * _PROGRAMS) for n in (1, 2)}
    ]


def _lanes(problem: Problem) -> int:
    """Count the rows of the kernel's matrix that may form a slice: one tap's, or all."""
    few = problem.channels < LEAST_SIDE
    return problem.channels * (problem.size[0] * problem.size[1] if few else 1)


def _sums(problem: Problem, blocks: Blocks) -> int:
    """Count the sums of the weight gradient that a thread holds."""
    slices = _Call(problem, 1, blocks).slices_at_once
    return slices * blocks["channels"] * blocks["features"] // (32 * blocks["num_warps"])


def _divide_evenly(count: int, most: int) -> int:
    """Return the size of the fewest even parts of ``count``, of at most ``most`` each."""
    return ceil_div(count, ceil_div(count, most))


def _tiles(problem: Problem, blocks: Blocks, programs: int) -> int:
    """Count the pixel tiles for each of about ``programs`` programs of the weight gradient."""
    call = _Call(problem, 1, blocks)
    parts = max(programs // (problem.images * call.slice_groups * call.feature_tiles), 1)
    return round_to_power(ceil_div(call.pixel_tiles, parts))


class _Tile(NamedTuple):
    """Pixels of an image and their positions."""

    row: Array
    column: Array
    pixel: Array
    exist: Array


class _Slice(NamedTuple):
    """Some rows of the kernel's matrix, and the values they multiply."""

    rows: Array
    exist: Array
    tap: Array
    """Tap of all rows, or of each row."""
    lanes: Array
    """Input channels of the rows."""


class _Call:
    """Shapes and block sizes of one call, and code that its kernels share."""

    def __init__(self, problem: Problem, groups: int, blocks: Blocks | None):
        self.blocks = blocks = blocks or choose(problem, heuristic)
        self.images, self.height, self.width = problem.images, problem.height, problem.width
        self.channels, self.features = problem.channels, problem.features
        self.kh, self.kw = problem.size
        self.kind = jnp.float32 if jnp.dtype(problem.dtype).itemsize > 2 else problem.dtype
        self.pixels, self.taps = self.height * self.width, self.kh * self.kw
        self.rows, self.per_group = self.taps * self.channels, self.images // groups
        self.joins_taps = self.channels < LEAST_SIDE
        chunks = ceil_div(_lanes(problem), blocks["channels"])
        self.slices = chunks if self.joins_taps else chunks * self.taps
        self.slices_at_once = _divide_evenly(self.slices, blocks.get("slices", 1))
        self.slice_groups = ceil_div(self.slices, self.slices_at_once)
        self.feature_tiles = ceil_div(self.features, blocks["features"])
        self.columns = blocks["pixels"] // blocks["rows"]
        self.tiles_across = ceil_div(self.width, self.columns)
        self.pixel_tiles = ceil_div(self.height, blocks["rows"]) * self.tiles_across

    def flat(self, image: Array) -> Array:
        """Reshape (N, H, W, C) to (N, H·W, C)."""
        return image.reshape(self.images, self.pixels, image.shape[3])

    def tile(self, index: Any) -> _Tile:
        """Return the pixels of a tile, row by row."""
        (down, across), lanes = split(index, self.tiles_across), self.blocks["pixels"]
        row, column = split(jnp.arange(lanes, dtype=jnp.int32), self.columns)
        row, column = down * self.blocks["rows"] + row, across * self.columns + column
        exist = (row < self.height) & (column < self.width)
        return _Tile(row, column, row * self.width + column, exist)

    def outs(self, tile: Any) -> tuple[Array, Array]:
        """Return the output channels of a tile, and a mask of the valid ones."""
        return portion(tile, self.blocks["features"], self.features)

    def slice(self, index: Array) -> _Slice:
        """Return a slice of the kernel's matrix; taps of the same channels are consecutive."""
        count = self.blocks["channels"]
        lanes = jnp.arange(count, dtype=jnp.int32)
        if self.joins_taps:
            rows = index * count + lanes
            return _Slice(rows, rows < self.rows, *split(rows, self.channels))
        chunk, tap = split(index, self.taps)
        lanes = chunk * count + lanes
        return _Slice(tap * self.channels + lanes, lanes < self.channels, tap, lanes)

    def load_shifted(self, x: Any, image: Any, tile: _Tile, part: _Slice) -> Array:
        """Load (pixels, rows of the slice) of an image, shifted by the slice's taps."""
        i, j = split(part.tap, self.kw)
        if self.joins_taps:
            i, j = i[None, :], j[None, :]
        row = tile.row[:, None] + (i - self.kh // 2)
        column = tile.column[:, None] + (j - self.kw // 2)
        inside = (row >= 0) & (row < self.height) & (column >= 0) & (column < self.width)
        index = (image, row * self.width + column, part.lanes[None, :])
        return self.load_masked(x, index, inside & tile.exist[:, None] & part.exist[None, :])

    def load_masked(self, ref: Any, index: tuple[Any, ...], mask: Array) -> Array:
        """Load a factor of a matrix product."""
        return load(ref, index, mask).astype(self.kind)


def _problem(direction: str, x: Array, features: int, size: tuple[int, int]) -> Problem:
    images, height, width, channels = x.shape
    kind, name = x.dtype.name, f"conv2d.{direction}"
    return Problem(name, kind, images, height, width, channels, features, size)


def correlate(x: Array, w: Array, b: Array | None, *, blocks: Blocks | None = None) -> Array:
    """Convolve with kernels (G, kh, kw, Cin, Cout), biases (G, Cout); see ``_pallas.batching``."""
    groups, kh, kw, _, features = w.shape
    problem = _problem("correlate", x, features, (kh, kw))
    call = _Call(problem, groups, blocks)
    kernel = functools.partial(_correlate_kernel, call=call, bias=b is not None)
    args = [call.flat(x), w.reshape(groups, call.rows, features), *([] if b is None else [b])]
    out = jax.ShapeDtypeStruct((call.images, call.pixels, features), x.dtype)
    grid = (call.pixel_tiles, call.feature_tiles, call.images)
    y = launch(kernel, out, grid, call.blocks, *args, name="conv_correlate")
    return y.reshape(*x.shape[:3], features)


def _correlate_kernel(x, w, *refs, call: _Call, bias: bool):
    b, out = refs[0], refs[-1]
    image, (group, _) = pl.program_id(2), split(pl.program_id(2), call.per_group)
    tile = call.tile(pl.program_id(0))
    outs, present = call.outs(pl.program_id(1))

    def step(n, total):
        part = call.slice(n)
        index = (group, part.rows[:, None], outs[None, :])
        weights = call.load_masked(w, index, part.exist[:, None] & present[None, :])
        return total + matmul(call.load_shifted(x, image, tile, part), weights, (1, 0))

    start = jnp.zeros((call.blocks["pixels"], call.blocks["features"]), jnp.float32)
    if bias:
        start = start + load(b, (group, outs), present)[None, :]
    total = lax.fori_loop(0, call.slices, step, start)
    index = (image, tile.pixel[:, None], outs[None, :])
    store(out, index, total, tile.exist[:, None] & present[None, :])


def weight_grad(
    groups: int, x: Array, g: Array, *, size: tuple[int, int], blocks: Blocks | None = None
) -> tuple[Array, Array]:
    """Sum (G, kh, kw, Cin, Cout) over the images of each group, and sums (G, Cout) of g.

    Both are float32 and bit-identical on every run.

    Args:
      groups: number of groups G, a divisor of the number of images.
      x: images (N, H, W, Cin).
      g: cotangent (N, H, W, Cout).
      size: kernel size (kh, kw).
      blocks: block sizes; None chooses them.
    """
    channels, features = x.shape[3], g.shape[3]
    problem = _problem("weight_grad", x, features, size)
    call = _Call(problem, groups, blocks)
    parts = ceil_div(call.pixel_tiles, call.blocks["tiles"])
    lead = (groups, call.per_group * parts)
    shapes = [(*lead, call.rows, features), (*lead, features)]
    dw, db = launch(
        functools.partial(_weight_grad_kernel, call=call, parts=parts),
        [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes],
        (call.slice_groups, call.feature_tiles, call.images * parts),
        call.blocks,
        call.flat(x),
        call.flat(g),
        name="conv_weight_grad",
    )
    return dw.sum(1).reshape(groups, *size, channels, features), db.sum(1)


def _weight_grad_kernel(x, g, out, bias, *, call: _Call, parts: int):
    image, part = split(pl.program_id(2), parts)
    outs, present = call.outs(pl.program_id(1))
    first = pl.program_id(0) * call.slices_at_once
    slices = [call.slice(first + n) for n in range(call.slices_at_once)]

    def step(n, carry):
        totals, of_g = carry
        tile = call.tile(part * call.blocks["tiles"] + n)
        index = (image, tile.pixel[:, None], outs[None, :])
        values = load(g, index, tile.exist[:, None] & present[None, :])
        part_of_g = values.astype(call.kind)
        totals = [
            total + matmul(call.load_shifted(x, image, tile, s), part_of_g, (0, 0))
            for total, s in zip(totals, slices, strict=True)
        ]
        return totals, of_g + jnp.sum(values, 0)

    zeros = jnp.zeros((call.blocks["channels"], call.blocks["features"]), jnp.float32)
    start = [zeros] * len(slices), jnp.zeros(outs.shape, jnp.float32)
    steps = min(call.blocks["tiles"], call.pixel_tiles)
    totals, of_g = lax.fori_loop(0, steps, step, start)
    group, member = split(image, call.per_group)
    first_slices = present & (pl.program_id(0) == 0)
    store(bias, (group, member * parts + part, outs), of_g, first_slices)
    for total, s in zip(totals, slices, strict=True):
        index = (group, member * parts + part, s.rows[:, None], outs[None, :])
        store(out, index, total, s.exist[:, None] & present[None, :])
