"""Pallas kernel of the linear layer, and what it shares with the one of backward.

Both walk over tiles of rows with the weights held: what follows the matrix product, or precedes
it in backward, is done on the tile, so that no array but the layer's own reaches memory. The
precision of the products of float32 follows ``jax.default_matmul_precision``, as everywhere in
JAX: TF32 unless more is asked for. 16-bit factors are multiplied in 16 bits and summed in float32.
"""

from __future__ import annotations

import functools
import math
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
    combine_parts,
    launch,
    load,
    matmul,
    portion,
    round_to_power,
    split,
    store,
    store_part,
)

__all__ = ["Call", "candidates", "fill_optional", "forward", "heuristic", "normal"]

_HELD = 192 * 64
"""Weights that the forward kernel keeps from one tile of rows to the next, at most."""
_SUMS = 64 * 64
"""Sums of the weight gradient in one program, where they are not fewer than the least."""
_PROGRAMS = {"forward": 1024, "backward": 512}
"""Programs that fill a large GPU, about; more of backward's make more partial sums."""
_MOST_TILES = {"forward": 8, "backward": 32}
_SHARED = 160 * 1024
"""Bytes of shared memory for the tiles on their way, at most."""


def heuristic(problem: Problem) -> dict[str, int]:
    """Block sizes of both kernels where none are measured."""
    direction = "backward" if problem.kernel.endswith("backward") else "forward"
    channels = max(LEAST_SIDE, min(round_to_power(problem.channels), 64))
    features = max(LEAST_SIDE, min(round_to_power(problem.features), 64))
    if direction == "backward":
        width = ceil_div(problem.features, features) * features
        channels = max(LEAST_SIDE, min(channels, round_to_power(_SUMS // width)))
    chunks = ceil_div(problem.channels, channels)
    several = chunks > 1 or (direction == "backward" and problem.features > features)
    # Through the activation, all blocks are multiplied once more: of many rows, registers of many
    # threads can't hold them.
    pixels = 16 if several and problem.kernel.endswith("gelu_backward") else 64
    programs = problem.images * ceil_div(problem.height * problem.width, pixels)
    programs *= chunks if direction == "backward" else 1
    return {
        "pixels": pixels,
        "channels": channels,
        "features": features,
        "tiles": min(round_to_power(programs // _PROGRAMS[direction]), _MOST_TILES[direction]),
        "num_warps": 8 if several and direction == "forward" else 4,
        # Pipelines hold all blocks of a tile in shared memory, several times.
        "num_stages": 1 if several or problem.kernel.endswith(".backward") else 3,
    }


def candidates(problem: Problem) -> list[dict[str, int]]:
    """Block sizes of both kernels worth measuring."""
    base = heuristic(problem)
    rows = base["pixels"] * base["tiles"]
    backward = problem.kernel.endswith("backward")
    width = problem.channels + (problem.features if backward else 0)
    size = 4 if problem.dtype == "float32" else 2
    return [
        {**base, "pixels": p, "tiles": tiles, "num_warps": warps, "num_stages": stages}
        for p in sorted({base["pixels"], 32, 64, 128})
        for tiles in sorted({max(1, some // p) for some in (rows // 2, rows, rows * 2)})
        for warps in (4, 8)
        for stages in (1, 2, 3)
        # Enough rows for every warp, and few enough for its registers.
        if (32 if warps == 4 else 64) <= p <= (64 if backward and warps == 4 else 128)
        if stages * p * width * size <= _SHARED
    ]


def fill_optional(refs: tuple[Any, ...], present: tuple[bool, ...]) -> list[Any]:
    """``refs`` with None for the leading ones that are not present."""
    found = iter(refs)
    return [*(next(found) if there else None for there in present), *found]


class Call:
    """Shapes and block sizes of one call, and what its kernels share."""

    def __init__(
        self,
        direction: str,
        x: Array,
        w: Array,
        gelu: bool,
        narrow: bool,
        blocks: Blocks | None,
    ):
        self.images, self.rows, self.channels = x.shape
        self.features = w.shape[2]
        problem = Problem(
            f"linear.{'gelu_' if gelu else ''}{direction}",
            x.dtype.name,
            self.images,
            1,
            self.rows,
            self.channels,
            self.features,
        )
        self.blocks = blocks or choose(problem, heuristic)
        wide = jnp.bfloat16 if narrow else jnp.float32
        self.kind = wide if x.dtype.itemsize > 2 else x.dtype
        self.chunks = ceil_div(self.channels, self.blocks["channels"])
        self.feature_tiles = ceil_div(self.features, self.blocks["features"])
        row_tiles = ceil_div(self.rows, self.blocks["pixels"])
        self.tiles = min(self.blocks["tiles"], row_tiles)
        self.parts = ceil_div(row_tiles, self.tiles)
        self.per_group = self.images // w.shape[0]

    def take_rows(self, tile: Any) -> tuple[Array, Array]:
        """The rows of a tile, and which of them exist."""
        return portion(tile, self.blocks["pixels"], self.rows)

    def lanes(self, chunk: Any) -> tuple[Array, Array]:
        """The input channels of a chunk, and which of them exist."""
        return portion(chunk, self.blocks["channels"], self.channels)

    def outs(self, tile: Any) -> tuple[Array, Array]:
        """The output channels of a tile, and which of them exist."""
        return portion(tile, self.blocks["features"], self.features)

    def matrix(self, w: Any, group: Any, chunk: Any, tile: Any) -> Array:
        """(channels, features) weights."""
        index, mask = block((group,), self.lanes(chunk), self.outs(tile))
        return load(w, index, mask).astype(self.kind)

    def bias(self, b: Any, group: Any, tile: Any) -> Array:
        """(1, features) biases, zero where there are none."""
        outs, exist = self.outs(tile)
        if b is None:
            return jnp.zeros((1, outs.size), jnp.float32)
        return load(b, (group, outs), exist)[None, :]


def normal(z: Array) -> tuple[Array, Array]:
    """The normal distribution Φ(z), within 3e-7, and its density φ(z).

    Abramowitz and Stegun, 7.1.26: erfc(u) = exp(-u²)·p(t) with t = 1 / (1 + 0.3275911·u), here of
    u = |z|/√2. There is no erf in Pallas' Triton backend, and this one shares its exponential.
    """
    bell = jnp.exp2(z * z * (-0.5 * math.log2(math.e)))
    t = 1 / (1 + (0.3275911 * math.sqrt(0.5)) * jnp.abs(z))
    series = jnp.full(z.shape, 1.061405429, jnp.float32)
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = series * t + coefficient
    tail = series * t * bell * 0.5
    return jnp.where(z < 0, tail, 1 - tail), bell * (1 / math.sqrt(2 * math.pi))


def forward(
    x: Array,
    w: Array,
    b: Array | None,
    residual: Array | None,
    *,
    gelu: bool,
    narrow: bool,
    statistics: bool = False,
    blocks: Blocks | None = None,
) -> Any:
    """The layer, of images (N, rows, K) by weights (G, K, O) and biases (G, O); see ``_batching``.

    Args:
      x, w, b: images, weights and biases.
      residual: (N, rows, O), added after the activation, or None.
      gelu: whether the activation is GELU; none otherwise.
      narrow: whether factors of float32 are rounded to bfloat16.
      statistics: whether mean and biased variance of the result's rows are wanted too.
      blocks: block sizes; by default chosen.

    Returns:
      (N, rows, O) in the dtype of ``x``; with ``statistics``, this and two (N, O) float32.
    """
    call = Call("forward", x, w, gelu, narrow, blocks)
    present = (b is not None, residual is not None)
    options = {"gelu": gelu, "present": present, "statistics": statistics}
    out = [jax.ShapeDtypeStruct((call.images, call.rows, call.features), x.dtype)]
    if statistics:
        shape = (call.images, call.parts, 2, call.features)
        out.append(jax.ShapeDtypeStruct(shape, jnp.float32))
    y, *partial = launch(
        functools.partial(_forward_kernel, call=call, **options),
        out,
        (call.parts * call.feature_tiles, call.images),
        call.blocks,
        *(a for a in (x, w, b, residual) if a is not None),
        name="linear_forward",
    )
    if not statistics:
        return y
    return y, *combine_parts(partial[0], call.rows, call.tiles * call.blocks["pixels"])


def _forward_kernel(
    x, w, *refs, call: Call, gelu: bool, present: tuple[bool, bool], statistics: bool
):
    b, residual, out, *partial = fill_optional(refs, present)
    part, tile = split(pl.program_id(0), call.feature_tiles)
    image, (group, _) = pl.program_id(1), split(pl.program_id(1), call.per_group)
    outs, start = call.outs(tile), call.bias(b, group, tile)
    size = call.chunks * call.blocks["channels"] * call.blocks["features"]
    again = call.tiles > 1 and size <= _HELD
    held = [call.matrix(w, group, chunk, tile) for chunk in range(call.chunks if again else 0)]

    def row_tile(n, sums):
        rows = call.take_rows(part * call.tiles + n)
        total = jnp.zeros((call.blocks["pixels"], call.blocks["features"]), jnp.float32)
        for chunk in range(call.chunks):
            value = load(x, *block((image,), rows, call.lanes(chunk))).astype(call.kind)
            weights = held[chunk] if held else call.matrix(w, group, chunk, tile)
            total = total + matmul(value, weights, (1, 0))
        y = total + start
        if gelu:
            y = y * normal(y)[0]
        index, mask = block((image,), rows, outs)
        if residual is not None:
            y = y + load(residual, index, mask)
        store(out, index, y, mask)
        if not statistics:
            return sums
        # Of what is stored: rounded.
        y, mask = y.astype(out.dtype).astype(jnp.float32), rows[1][:, None]
        left = call.rows - part * span  # at least one
        first = jnp.minimum(left, call.blocks["pixels"]).astype(jnp.float32)
        pivot = lax.cond(n == 0, lambda: jnp.sum(jnp.where(mask, y, 0), 0) / first, lambda: sums[0])
        away = jnp.where(mask, y - pivot[None, :], 0)
        return pivot, sums[1] + away, sums[2] + away * away

    span = call.tiles * call.blocks["pixels"]
    zero = jnp.zeros((call.blocks["pixels"], call.blocks["features"]), jnp.float32)
    start_sums = (jnp.zeros(outs[0].shape, jnp.float32), zero, zero) if statistics else ()
    sums = lax.fori_loop(0, call.tiles, row_tile, start_sums)
    if statistics:
        store_part(
            partial[0], (image, part), outs, sums, jnp.minimum(call.rows - part * span, span)
        )
