"""Pallas kernels of everything after the branches: 1×1 convolution, gate and residual.

y = x ⊙ (branches · w + b) + residual. The forward kernel reads its arrays once and writes y. The
backward kernel multiplies branches and weights again instead of reading a stored product.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import pallas as pl

from s3net_kernels._pallas import (
    LEAST_SIDE,
    Blocks,
    Problem,
    block,
    ceil_div,
    choose,
    count_buffers,
    get_shared_memory,
    launch,
    load,
    matmul,
    portion,
    round_to_power,
    split,
    store,
)

__all__ = ["backward", "candidates", "compute_shared_memory", "fits", "forward", "heuristic"]

_PROGRAMS = 256
"""Approximate number of programs of a kind that fill a large GPU; more of them would write more
partial sums in the backward pass."""


_SCRATCH = 4096
"""Shared memory in bytes reserved for sums across warps and similar scratch."""


def heuristic(problem: Problem) -> dict[str, int]:
    """Choose block sizes for both kernels without measurements."""
    channels = max(LEAST_SIDE, min(round_to_power(problem.channels), 64))
    # Wide sums of the backward kernel fill the registers: more rows would spill them.
    sizes = ((64, 2), (64, 1), (32, 1), (16, 1)) if problem.features <= 64 else ((16, 1),)
    for pixels, stages in sizes:
        programs = problem.images * ceil_div(problem.height * problem.width, pixels)
        blocks = {
            "pixels": pixels,
            "channels": channels,
            "tiles": min(round_to_power(programs // _PROGRAMS), 16),
            "num_warps": 4,
            "num_stages": stages,
        }
        if compute_shared_memory(problem, blocks) <= get_shared_memory():
            break
    return blocks


def compute_shared_memory(problem: Problem, blocks: Blocks) -> int:
    """Return an upper bound in bytes of the shared memory that both kernels need."""
    pixels, stages = blocks["pixels"], blocks["num_stages"]
    chunk, copies = blocks["channels"], count_buffers(stages)
    inputs = ceil_div(problem.channels, chunk) * chunk
    outputs = max(LEAST_SIDE, round_to_power(problem.features))
    mixed = inputs * outputs + copies * pixels * inputs + (stages > 1) * pixels * outputs
    product = chunk * outputs + copies * pixels * (chunk + 2 * outputs) + pixels * outputs
    return max(mixed, product) * (4 if problem.dtype == "float32" else 2) + _SCRATCH


def fits(channels: int, features: int, dtype: str) -> bool:
    """Return whether any block sizes fit in the GPU's shared memory."""
    problem = Problem("gated_inception.backward", dtype, 1, 1, 1, channels, features)
    return compute_shared_memory(problem, heuristic(problem)) <= get_shared_memory()


def candidates(problem: Problem) -> list[dict[str, int]]:
    """List block sizes for both kernels worth measuring."""
    base = heuristic(problem)
    rows = base["pixels"] * base["tiles"]
    found = [
        {**base, "pixels": p, "tiles": tiles, "num_warps": warps, "num_stages": stages}
        for p in sorted({base["pixels"], 32, 64, 128})
        for tiles in sorted({max(1, rows * n // (4 * p)) for n in (2, 4, 8)})
        for warps in (4, 8)
        for stages in (1, 2, 3)
        if p // warps in (8, 16)
    ]
    return [
        blocks for blocks in found if compute_shared_memory(problem, blocks) <= get_shared_memory()
    ]


class _Call:
    """Shapes and block sizes of one call, and code that its kernels share."""

    def __init__(self, direction: str, x: Array, w: Array, narrow: bool, blocks: Blocks | None):
        self.images, self.rows, self.features = x.shape
        self.channels = w.shape[1]
        problem = Problem(
            f"gated_inception.{direction}",
            x.dtype.name,
            self.images,
            1,
            self.rows,
            self.channels,
            self.features,
        )
        self.blocks = blocks or choose(problem, heuristic, compute_shared_memory)
        wide = jnp.bfloat16 if narrow else jnp.float32
        self.kind = wide if x.dtype.itemsize > 2 else x.dtype
        self.chunks = ceil_div(self.channels, self.blocks["channels"])
        row_tiles = ceil_div(self.rows, self.blocks["pixels"])
        self.tiles = min(self.blocks["tiles"], row_tiles)
        self.parts = ceil_div(row_tiles, self.tiles)
        self.per_group = self.images // w.shape[0]
        self.width = max(LEAST_SIDE, round_to_power(self.features))

    def take_rows(self, tile: Any) -> tuple[Array, Array]:
        """Return the rows of a tile, and a mask of the valid ones."""
        return portion(tile, self.blocks["pixels"], self.rows)

    def lanes(self, chunk: Any) -> tuple[Array, Array]:
        """Return the branches' channels of a chunk, and a mask of the valid ones."""
        return portion(chunk, self.blocks["channels"], self.channels)

    def outs(self) -> tuple[Array, Array]:
        """Return the channels of x, and a mask of the valid ones."""
        outs = jnp.arange(self.width, dtype=jnp.int32)
        return outs, outs < self.features

    def matrices(self, w: Any, group: Any) -> list[Array]:
        """Load the (channels, width) weights of every chunk."""
        blocks = [block((group,), self.lanes(n), self.outs()) for n in range(self.chunks)]
        return [load(w, *of_chunk).astype(self.kind) for of_chunk in blocks]

    def values(self, branches: Any, image: Any, rows: tuple[Array, Array]) -> list[Array]:
        """Load the (pixels, channels) values of every chunk."""
        blocks = [block((image,), rows, self.lanes(n)) for n in range(self.chunks)]
        return [load(branches, *of_chunk).astype(self.kind) for of_chunk in blocks]

    def mix(self, values: list[Array], weights: list[Array], bias: Array) -> Array:
        """Compute the gate's factor of x: (pixels, width)."""
        total = jnp.zeros((self.blocks["pixels"], self.width), jnp.float32)
        for value, matrix in zip(values, weights, strict=True):
            total = total + matmul(value, matrix, (1, 0))
        return total + bias


def forward(
    x: Array,
    branches: Array,
    w: Array,
    b: Array,
    residual: Array | None,
    *,
    narrow: bool,
    blocks: Blocks | None = None,
) -> Array:
    """Compute (N, rows, C) from images x (N, rows, C) and branches (N, rows, K).

    Args:
      x: images (N, rows, C).
      branches: branches (N, rows, K) of the images.
      w: weights (G, K, C) of G groups of images; see ``_pallas.batching``.
      b: biases (G, C).
      residual: array (N, rows, C) to add, or None.
      narrow: whether to round float32 factors to bfloat16.
      blocks: block sizes; None chooses them.
    """
    call = _Call("forward", x, w, narrow, blocks)
    return launch(
        functools.partial(_forward_kernel, call=call),
        jax.ShapeDtypeStruct(x.shape, x.dtype),
        (call.parts, call.images),
        call.blocks,
        *(a for a in (x, branches, w, b, residual) if a is not None),
        name="gated_forward",
    )


def _forward_kernel(x, branches, w, b, *refs, call: _Call):
    residual, out = (None, *refs)[-2:]
    part, image = pl.program_id(0), pl.program_id(1)
    group, _ = split(image, call.per_group)
    outs, weights = call.outs(), call.matrices(w, group)
    bias = load(b, (group, outs[0]), outs[1])[None, :]

    def row_tile(n, _):
        rows = call.take_rows(part * call.tiles + n)
        mixed = call.mix(call.values(branches, image, rows), weights, bias)
        here, exist = block((image,), rows, outs)
        y = load(x, here, exist) * mixed
        if residual is not None:
            y = y + load(residual, here, exist)
        store(out, here, y, exist)
        return 0

    lax.fori_loop(0, call.tiles, row_tile, 0)


def backward(
    groups: int,
    x: Array,
    branches: Array,
    w: Array,
    b: Array,
    g: Array,
    *,
    narrow: bool,
    blocks: Blocks | None = None,
) -> tuple[Array, Array, Array, Array]:
    """Compute (dx, dbranches, dw, db); the first two in the dtype of ``x``, the others float32.

    The result is bit-identical on every run. dx includes only the path through the gate.

    Args:
      groups: number of groups of images over which dw (G, K, C) and db (G, C) sum.
      x: images; see :func:`forward`.
      branches: branches; see :func:`forward`.
      w: weights; see :func:`forward`.
      b: biases; see :func:`forward`.
      g: cotangent (N, rows, C).
      narrow: whether to round float32 factors to bfloat16.
      blocks: block sizes; None chooses them.
    """
    call = _Call("backward", x, w, narrow, blocks)
    members = call.images // groups
    kernel = functools.partial(_backward_kernel, call=call, members=members)
    # The gradient of the biases is an additional row of the weights' gradient.
    sums = (groups, members * call.parts, call.channels + 1, call.features)
    dx, dbranches, partial = launch(
        kernel,
        [
            jax.ShapeDtypeStruct(x.shape, x.dtype),
            jax.ShapeDtypeStruct(branches.shape, x.dtype),
            jax.ShapeDtypeStruct(sums, jnp.float32),
        ],
        (call.parts * (call.chunks + 1), call.images),
        call.blocks,
        *(x, branches, w, b, g),
        name="gated_backward",
    )
    total = partial.sum(1)
    return dx, dbranches, total[:, : call.channels], total[:, call.channels]


def _backward_kernel(x, branches, w, b, g, dx, dbranches, partial, *, call: _Call, members: int):
    # Each tile of rows has a program for each chunk and one for the gate. They read their common
    # inputs at the same time, and none of them holds the whole gradient of the weights.
    part, role = split(pl.program_id(0), call.chunks + 1)
    image = pl.program_id(1)
    group, _ = split(image, call.per_group)
    outs = call.outs()

    @pl.when(role == call.chunks)
    def gate():
        weights, bias = call.matrices(w, group), load(b, (group, outs[0]), outs[1])[None, :]

        def row_tile(n, _):
            rows = call.take_rows(part * call.tiles + n)
            here, exist = block((image,), rows, outs)
            mixed = call.mix(call.values(branches, image, rows), weights, bias)
            store(dx, here, load(g, here, exist) * mixed, exist)
            return 0

        lax.fori_loop(0, call.tiles, row_tile, 0)

    @pl.when(role < call.chunks)
    def product():
        lanes = call.lanes(role)
        weights = load(w, *block((group,), lanes, outs)).astype(call.kind)

        def row_tile(n, sums):
            dw, db = sums
            rows = call.take_rows(part * call.tiles + n)
            here, exist = block((image,), rows, outs)
            dmixed = load(g, here, exist) * load(x, here, exist)
            db, dmixed = db + jnp.sum(dmixed, 0), dmixed.astype(call.kind)
            there, present = block((image,), rows, lanes)
            value = load(branches, there, present).astype(call.kind)
            store(dbranches, there, matmul(dmixed, weights, (1, 1)), present)
            return dw + matmul(value, dmixed, (0, 0)), db

        zero = jnp.zeros((call.blocks["channels"], call.width), jnp.float32)
        start = zero, jnp.zeros(call.width, jnp.float32)
        dw, db = lax.fori_loop(0, call.tiles, row_tile, start)
        of_sums, member = split(image, members)
        place = (of_sums, member * call.parts + part)
        index, mask = block(place, lanes, outs)
        store(partial, index, dw, mask)
        store(partial, (*place, call.channels, outs[0]), db, outs[1] & (role == 0))
