"""Pallas kernels of the batch normalisation: its statistics, and the sums of the backward pass.

A program sums several tiles of rows and writes one partial result. The few partial results are
combined outside.
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
    Problem,
    block,
    ceil_div,
    choose,
    combine_parts,
    launch,
    load,
    portion,
    round_to_power,
    store,
    store_part,
)

__all__ = ["candidates", "heuristic", "statistics", "sums"]

_PROGRAMS = 1024
"""Approximate number of programs that fill a large GPU."""
_MOST_TILES = 16


def heuristic(problem: Problem) -> dict[str, int]:
    """Choose block sizes for both kernels without measurements."""
    channels = min(round_to_power(problem.channels), 64)
    # 2048 values per tile give each of 128 threads 16 values to hold in registers.
    rows = min(round_to_power(problem.width), max(2048 // channels, 1))
    programs = problem.images * ceil_div(problem.width, rows) * ceil_div(problem.channels, channels)
    tiles = min(max(round_to_power(programs // _PROGRAMS), 1), _MOST_TILES)
    return {"rows": rows, "channels": channels, "tiles": tiles, "num_warps": 4}


def candidates(problem: Problem) -> list[dict[str, int]]:
    """List block sizes for both kernels worth measuring."""
    base = heuristic(problem)
    work = base["rows"] * base["tiles"]
    return [
        {**base, "rows": rows, "tiles": max(1, several // rows), "num_warps": warps}
        for rows in (16, 32, 64, 128)
        for several in (work // 2, work, work * 2)
        for warps in (2, 4, 8)
        if 4 <= rows * base["channels"] // (32 * warps) <= 64
    ]


class _Call:
    """Shapes and block sizes of one call."""

    def __init__(self, name: str, x: Array, blocks: Blocks | None):
        self.images, self.rows, self.channels = x.shape
        full = f"batch_norm.{name}"
        problem = Problem(full, x.dtype.name, self.images, 1, self.rows, self.channels)
        self.blocks = blocks or choose(problem, heuristic)
        tiles = ceil_div(self.rows, self.blocks["rows"])
        self.tiles = min(self.blocks["tiles"], tiles)
        self.parts = ceil_div(tiles, self.tiles)

    def run(self, kernel: Any, *args: Array, name: str) -> Array:
        """Run ``kernel``: two sums of every program, (N, parts, 2, C)."""
        chunks = ceil_div(self.channels, self.blocks["channels"])
        return launch(
            functools.partial(kernel, call=self),
            jax.ShapeDtypeStruct((self.images, self.parts, 2, self.channels), jnp.float32),
            (self.parts, chunks, self.images),
            self.blocks,
            *args,
            name=name,
        )

    def locate(self) -> tuple[Any, Any, tuple[Array, Array]]:
        """Return this program's image, part and channels."""
        lanes = portion(pl.program_id(1), self.blocks["channels"], self.channels)
        return pl.program_id(2), pl.program_id(0), lanes

    def take_rows(self, part: Any, n: Any) -> tuple[Array, Array]:
        """Return the rows of tile ``n`` of a part, and a mask of the valid ones."""
        return portion(part * self.tiles + n, self.blocks["rows"], self.rows)

    def zeros(self) -> Array:
        """Return zeros for the sums at each place of a tile."""
        return jnp.zeros((self.blocks["rows"], self.blocks["channels"]), jnp.float32)


def statistics(x: Array, *, blocks: Blocks | None = None) -> tuple[Array, Array]:
    """Compute mean and biased variance, (N, C) float32 each, over the rows of (N, rows, C)."""
    call = _Call("statistics", x, blocks)
    partial = call.run(_statistics_kernel, x, name="norm_statistics")
    return combine_parts(partial, call.rows, call.tiles * call.blocks["rows"])


def _statistics_kernel(x, out, *, call: _Call):
    image, part, lanes = call.locate()

    def tile(n):
        rows = call.take_rows(part, n)
        index, mask = block((image,), rows, lanes)
        return load(x, index, mask), mask

    span = call.tiles * call.blocks["rows"]
    left = call.rows - part * span  # at least one
    pivot = jnp.sum(tile(0)[0], 0) / jnp.minimum(left, call.blocks["rows"]).astype(jnp.float32)

    def add(n, sums):
        value, mask = tile(n)
        value = jnp.where(mask, value - pivot[None, :], 0)
        return sums[0] + value, sums[1] + value * value

    found = lax.fori_loop(0, call.tiles, add, (call.zeros(), call.zeros()))
    store_part(out, (image, part), lanes, (pivot, *found), jnp.minimum(left, span))


def sums(x: Array, dy: Array, mean: Array, *, blocks: Blocks | None = None) -> Array:
    """Sum dy and dy · (x − mean) over the rows: (N, 2, C) float32, bit-identical on every run.

    Args:
      x: input (N, rows, C).
      dy: cotangent (N, rows, C).
      mean: mean (N, C) of the input.
      blocks: block sizes; None chooses them.
    """
    call = _Call("sums", x, blocks)
    return call.run(_sums_kernel, x, dy, mean, name="norm_sums").sum(1)


def _sums_kernel(x, dy, mean, out, *, call: _Call):
    image, part, lanes = call.locate()
    middle = load(mean, (image, lanes[0]), lanes[1])[None, :]

    def add(n, sums):
        index, mask = block((image,), call.take_rows(part, n), lanes)
        # dy is zero outside the rows, so the values of x - mean there do not matter.
        slope = load(dy, index, mask)
        return sums[0] + slope, sums[1] + slope * (load(x, index, mask) - middle)

    found = lax.fori_loop(0, call.tiles, add, (call.zeros(), call.zeros()))
    for n, total in enumerate(found):
        store(out, (image, part, n, lanes[0]), jnp.sum(total, 0), lanes[1])
