"""Pallas kernel of the linear layer, and parts shared with the backward kernel.

Both kernels hold the weights and iterate over tiles of rows. What follows the matrix product, or
precedes it in the backward pass, is computed on the tile, so that only the layer's own arrays
reach memory. The precision of float32 products follows ``jax.default_matmul_precision``, as
everywhere in JAX: TF32 unless more is requested. 16-bit factors are multiplied in 16 bits and
summed in float32.
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
"""Maximum number of weights that the forward kernel keeps from one tile of rows to the next."""
_SUMS = 64 * 64
"""Maximum number of sums of the weight gradient in one program, if the smallest block allows."""
_PROGRAMS = {"forward": 1024, "backward": 512}
"""Approximate number of programs that fill a large GPU; more of them would write more partial sums
in the backward pass."""
_MOST_TILES = {"forward": 8, "backward": 32}
_SHARED = 160 * 1024
"""Maximum shared memory in bytes for tiles being loaded."""


def heuristic(problem: Problem) -> dict[str, int]:
    """Choose block sizes for both kernels without measurements."""
    direction = "backward" if problem.kernel.endswith("backward") else "forward"
    channels = max(LEAST_SIDE, min(round_to_power(problem.channels), 64))
    features = max(LEAST_SIDE, min(round_to_power(problem.features), 64))
    if direction == "backward":
        width = ceil_div(problem.features, features) * features
        channels = max(LEAST_SIDE, min(channels, round_to_power(_SUMS // width)))
    chunks = ceil_div(problem.channels, channels)
    several = chunks > 1 or (direction == "backward" and problem.features > features)
    # The GELU backward pass multiplies all blocks again: with many rows, even the registers of many
    # threads could not hold them.
    pixels = 16 if several and problem.kernel.endswith("gelu_backward") else 64
    programs = problem.images * ceil_div(problem.height * problem.width, pixels)
    programs *= chunks if direction == "backward" else 1
    return {
        "pixels": pixels,
        "channels": channels,
        "features": features,
        "tiles": min(round_to_power(programs // _PROGRAMS[direction]), _MOST_TILES[direction]),
        "num_warps": 8 if several and direction == "forward" else 4,
        # Pipelines hold all blocks of a tile in shared memory, once per stage.
        "num_stages": 1 if several or problem.kernel.endswith(".backward") else 3,
    }


def candidates(problem: Problem) -> list[dict[str, int]]:
    """List block sizes for both kernels worth measuring."""
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
        # Enough rows for every warp, but few enough for its registers.
        if (32 if warps == 4 else 64) <= p <= (64 if backward and warps == 4 else 128)
        if stages * p * width * size <= _SHARED
    ]


def fill_optional(refs: tuple[Any, ...], present: tuple[bool, ...]) -> list[Any]:
    """Return ``refs`` with None inserted for the leading ones that are not present."""
    found = iter(refs)
    return [*(next(found) if there else None for there in present), *found]


class Call:
    """Shapes and block sizes of one call, and code that its kernels share."""

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
        """Return the rows of a tile, and a mask of the valid ones."""
        return portion(tile, self.blocks["pixels"], self.rows)

    def lanes(self, chunk: Any) -> tuple[Array, Array]:
        """Return the input channels of a chunk, and a mask of the valid ones."""
        return portion(chunk, self.blocks["channels"], self.channels)

    def outs(self, tile: Any) -> tuple[Array, Array]:
        """Return the output channels of a tile, and a mask of the valid ones."""
        return portion(tile, self.blocks["features"], self.features)

    def matrix(self, w: Any, group: Any, chunk: Any, tile: Any) -> Array:
        """Load a (channels, features) block of weights."""
        index, mask = block((group,), self.lanes(chunk), self.outs(tile))
        return load(w, index, mask).astype(self.kind)

    def bias(self, b: Any, group: Any, tile: Any) -> Array:
        """Load (1, features) biases, or return zeros without biases."""
        outs, exist = self.outs(tile)
        if b is None:
            return jnp.zeros((1, outs.size), jnp.float32)
        return load(b, (group, outs), exist)[None, :]


def normal(z: Array) -> tuple[Array, Array]:
    """Compute the normal distribution Φ(z), within 3e-7, and its density φ(z).

    Abramowitz and Stegun, 7.1.26: erfc(u) = exp(-u²)·p(t) with t = 1 / (1 + 0.3275911·u), here for
    u = |z|/√2. Pallas' Triton backend has no erf, and this form shares its exponential with φ.
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
    """Apply the layer to images (N, rows, K) with weights (G, K, O); see ``_pallas.batching``.

    Args:
      x: images (N, rows, K).
      w: weights (G, K, O) of G groups of images.
      b: biases (G, O), or None.
      residual: array (N, rows, O) to add after the activation, or None.
      gelu: whether the activation is GELU; otherwise there is none.
      narrow: whether to round float32 factors to bfloat16.
      statistics: whether to return mean and biased variance of the result's rows too.
      blocks: block sizes; None chooses them.

    Returns:
      The result (N, rows, O) in the dtype of ``x``; with ``statistics``, a tuple of the result and
      two float32 arrays (N, O).
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
        # Compute the statistics of the stored, rounded result.
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
