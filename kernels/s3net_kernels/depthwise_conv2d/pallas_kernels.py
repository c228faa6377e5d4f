"""Pallas kernels of the depthwise convolution: forward (and dx), and the weight gradient.

Both work on every ``dilation``-th row of an image, for which a dilated kernel is vertically a
plain one. Reads from the L1 cache limit their speed. The forward kernel keeps ``rows`` output rows
and a column of the kernel in registers: it loads kw·(rows + kh − 1) values for rows·kh·kw
products. The weight gradient keeps the kh rows of g that meet a row of x, and the sums of
``taps`` columns of the kernel: it loads taps + 1 values for kh·taps products.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import pallas as pl

from s3net_kernels._pallas import (
    Blocks,
    Problem,
    ceil_div,
    choose,
    launch,
    load,
    round_to_power,
    split,
    store,
)

__all__ = [
    "correlate",
    "correlate_candidates",
    "correlate_heuristic",
    "weight_grad",
    "weight_grad_candidates",
    "weight_grad_heuristic",
]


def correlate_heuristic(problem: Problem) -> dict[str, int]:
    """Choose block sizes for :func:`correlate` without measurements."""
    # Dilated tiles have more rows and fewer channels, to read less beyond the tile itself.
    far = problem.dilation > 1
    channels = min(round_to_power(problem.channels), 32 if far else 64)
    columns = max(min(round_to_power(problem.width), (512 if far else 2048) // channels), 1)
    rows = 1 if problem.size[0] == 1 else 8 if far else 4
    return {"columns": columns, "channels": channels, "rows": rows, "num_warps": 4}


def correlate_candidates(problem: Problem) -> list[dict[str, int]]:
    """List block sizes for :func:`correlate` worth measuring."""
    most = round_to_power(problem.channels)
    return [
        {"columns": columns, "channels": channels, "rows": rows, "num_warps": warps}
        for channels in {min(most, 32), min(most, 64)}
        for columns in (8, 16, 32)
        for rows in (4, 8)
        for warps in (2, 4, 8)
        if columns <= round_to_power(problem.width)
        # Number of sums per thread: more would exceed the registers, fewer would leave it idle.
        and 16 <= columns * channels * rows // (32 * warps) <= 64
    ]


def correlate(
    x: Array,
    w: Array,
    b: Array | None,
    *,
    dilation: int,
    first: int = 0,
    into: tuple[Array | jax.ShapeDtypeStruct, int] | None = None,
    plus: Array | None = None,
    blocks: Blocks | None = None,
) -> Array:
    """Convolve (N, H, W, C) images with (G, kh, kw, C) kernels; see ``_pallas.batching``.

    Args:
      x: images, whose channels from ``first`` on are read.
      w: kernels, one for each of G groups of images.
      b: biases (G, C), or None.
      dilation: distance between taps in pixels.
      first: first channel of x to read.
      into: (array, channel) to write the C channels in place into this array, which is the result,
        starting at this channel. With a shape instead of an array, the rest of the result is
        undefined.
      plus: array (N, H, W, C) to add; the result reuses its memory if the dtype allows.
      blocks: block sizes; None chooses them.
    """
    images, height, width, _ = x.shape
    groups, kh, kw, channels = w.shape
    kind, size = x.dtype.name, (kh, kw)
    name = "depthwise_conv2d.correlate"
    problem = Problem(name, kind, images, height, width, channels, 0, size, dilation)
    blocks = blocks or choose(problem, correlate_heuristic)
    span = blocks["columns"], blocks["channels"], blocks["rows"]
    tiles = ceil_div(width, span[0]), ceil_div(channels, span[1])
    steps = dilation * ceil_div(ceil_div(height, dilation), span[2])
    kernel = functools.partial(
        _correlate_kernel,
        extent=(height, width, channels),
        size=size,
        dilation=dilation,
        span=span,
        per_group=images // groups,
        first=(first, 0 if into is None else into[1]),
        bias=b is not None,
        plus=plus is not None,
    )
    out = jax.ShapeDtypeStruct((images, height, width, channels), x.dtype)
    args, aliases = [x, w, *([] if b is None else [b])], {}
    if plus is not None:
        aliases = {len(args): 0} if plus.dtype == out.dtype else {}
        args.append(plus)
    if into is not None:
        out = jax.ShapeDtypeStruct(into[0].shape, into[0].dtype)
        if not isinstance(into[0], jax.ShapeDtypeStruct):
            aliases = {len(args): 0}
            args.append(into[0])
    grid = (tiles[0] * tiles[1], steps, images)
    return launch(kernel, out, grid, blocks, *args, name="depthwise_correlate", aliases=aliases)


def _correlate_kernel(x, w, *refs, extent, size, dilation, span, per_group, first, bias, plus):
    b, before, out = refs[0] if bias else None, refs[int(bias)], refs[-1]
    (height, width, channels), (kh, kw), rows = extent, size, span[2]
    place, image = pl.program_id(1), pl.program_id(2)
    group, _ = split(image, per_group)
    columns, lanes, inside = _tile(width, channels, span)
    # Row t of the tile is output row top + t·dilation.
    block, phase = split(place, dilation)
    top = block * (rows * dilation) + phase
    start = jnp.zeros(span[:2], jnp.float32)
    if b is not None:
        start = start + load(b, (group, lanes), inside)[None, :]

    def locate(t, channel):
        """Return the index of row t of the tile, and a mask of its valid elements."""
        row = top + t * dilation
        mask = ((columns < width) & (row < height))[:, None] & inside[None, :]
        return (image, row, columns[:, None], channel + lanes[None, :]), mask

    # Load the summand first: at the end, no work would be left to hide the latency of this load.
    starts = [start + load(before, *locate(t, 0)) if plus else start for t in range(rows)]

    def add_column(j, sums):
        sums, column = list(sums), columns + (j - kw // 2) * dilation
        exists = ((column >= 0) & (column < width))[:, None] & inside[None, :]
        taps = [load(w, (group, i, j, lanes), inside)[None, :] for i in range(kh)]
        for r in range(rows + kh - 1):
            row = top + (r - kh // 2) * dilation
            mask = exists & ((row >= 0) & (row < height))
            value = load(x, (image, row, column[:, None], first[0] + lanes[None, :]), mask)
            for t in range(max(r - kh + 1, 0), min(rows, r + 1)):
                sums[t] = sums[t] + value * taps[r - t]
        return tuple(sums)

    sums = lax.fori_loop(0, kw, add_column, tuple(starts))
    for t in range(rows):
        index, mask = locate(t, first[1])
        store(out, index, sums[t], mask)


def _tile(width: int, channels: int, span: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """Return columns and channels of this program, and a mask of the valid channels."""
    tile, chunk = split(pl.program_id(0), ceil_div(channels, span[1]))
    columns = tile * span[0] + jnp.arange(span[0], dtype=jnp.int32)
    lanes = chunk * span[1] + jnp.arange(span[1], dtype=jnp.int32)
    return columns, lanes, lanes < channels


def weight_grad_heuristic(problem: Problem) -> dict[str, int]:
    """Choose block sizes for :func:`weight_grad` without measurements."""
    channels = min(round_to_power(problem.channels), 64)
    columns = max(min(round_to_power(problem.width), 256 // channels), 1)
    rows = 64 if problem.images < 8 else 256
    return {"columns": columns, "channels": channels, "rows": rows, "num_warps": 4}


def weight_grad_candidates(problem: Problem) -> list[dict[str, int]]:
    """List block sizes for :func:`weight_grad` worth measuring."""
    channels = min(round_to_power(problem.channels), 64)
    return [
        {"columns": columns, "channels": channels, "rows": rows, "num_warps": warps}
        for columns in (4, 8, 16)
        for rows in ((32, 64, 128) if problem.images < 8 else (64, 128, 256))
        for warps in (2, 4, 8)
        if columns <= round_to_power(problem.width)
        # Number of a tile's values per thread; each of up to kh·kw taps needs a sum for each.
        and 1 <= max(columns * channels // (32 * warps), 1) <= 4
    ]


def _taps(size: tuple[int, int], blocks: Blocks) -> int:
    """Count the columns of the kernel whose sums fit in a thread's registers."""
    each = max(blocks["columns"] * blocks["channels"] // (32 * blocks["num_warps"]), 1)
    most = max(112 // (size[0] * each), 1)
    return ceil_div(size[1], ceil_div(size[1], most))


def weight_grad(
    groups: int,
    x: Array,
    g: Array,
    *,
    size: tuple[int, int],
    dilation: int,
    first: int = 0,
    blocks: Blocks | None = None,
) -> tuple[Array, Array]:
    """Sum (G, kh, kw, C) over the images of each group, and sums (G, C) of g.

    Both are float32 and bit-identical on every run.

    Args:
      groups: number of groups G, a divisor of the number of images.
      x: images (N, H, W, C).
      g: cotangent (N, H, W, ...), whose C channels from ``first`` on are read.
      size: kernel size (kh, kw).
      dilation: distance between taps in pixels.
      first: first channel of g to read.
      blocks: block sizes; None chooses them.
    """
    images, height, width, channels = x.shape
    kind, name = x.dtype.name, "depthwise_conv2d.weight_grad"
    problem = Problem(name, kind, images, height, width, channels, 0, size, dilation)
    blocks = blocks or choose(problem, weight_grad_heuristic)
    deep = ceil_div(height, dilation)
    span = blocks["columns"], blocks["channels"], min(blocks["rows"], deep)
    tiles = ceil_div(width, span[0]), ceil_div(channels, span[1])
    steps = dilation * ceil_div(deep, span[2])
    per_group = images // groups
    parts = per_group * steps * tiles[0]
    taps = _taps(size, blocks)
    kernel = functools.partial(
        _weight_grad_kernel,
        extent=(height, width, channels),
        size=size,
        dilation=dilation,
        span=span,
        taps=taps,
        per_group=per_group,
        first=first,
    )
    shapes = [(groups, parts, *size, channels), (groups, parts, channels)]
    dw, db = launch(
        kernel,
        [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes],
        (tiles[0] * tiles[1], steps, images * ceil_div(size[1], taps)),
        blocks,
        x,
        g,
        name="depthwise_weight_grad",
    )
    return dw.sum(1), db.sum(1)


def _weight_grad_kernel(x, g, out, bias, *, extent, size, dilation, span, taps, per_group, first):
    (height, width, channels), (kh, kw) = extent, size
    place, (image, share) = pl.program_id(1), split(pl.program_id(2), ceil_div(kw, taps))
    columns, lanes, inside = _tile(width, channels, span)
    block, phase = split(place, dilation)
    start = block * span[2]
    # The columns of the kernel whose sums this program computes.
    shifts = [share * taps + j for j in range(taps)]
    shifted = [columns + (j - kw // 2) * dilation for j in shifts]
    valid = [(c >= 0) & (c < width) for c in shifted]

    def load_row(ref, n, column, exists, channel):
        """Load row ``n`` of this phase, zero outside the image."""
        row = phase + n * dilation
        mask = exists[:, None] & inside[None, :] & ((row >= 0) & (row < height))
        return load(ref, (image, row, column[:, None], channel[None, :]), mask, widen=False)

    row_of_g = functools.partial(
        load_row, g, column=columns, exists=columns < width, channel=first + lanes
    )

    def load_rows(n):
        values = [load_row(x, start + n, c, v, lanes) for c, v in zip(shifted, valid, strict=True)]
        return row_of_g(start + n + kh // 2), *values

    def step(n, carry):
        sums, total, recent, coming = carry
        newest, *values = (value.astype(jnp.float32) for value in coming)
        # Prefetch the next rows while this step is summed.
        following = load_rows(n + 1)
        # Tap i multiplies row s of x with row s + kh//2 − i of g.
        met, new = (newest, *recent), []
        for j, value in enumerate(values):
            new += [old + value * row for old, row in zip(sums[j * kh :][:kh], met, strict=True)]
        return tuple(new), total + met[kh // 2], met[:-1], following

    zero = jnp.zeros(span[:2], jnp.float32)
    recent = [row_of_g(start - 1 + kh // 2 - i).astype(jnp.float32) for i in range(kh - 1)]
    carry = ((zero,) * (kh * taps), zero, tuple(recent), load_rows(0))
    sums, total, *_ = lax.fori_loop(0, span[2], step, carry)
    column_tiles = ceil_div(width, span[0])
    tile, _ = split(pl.program_id(0), ceil_div(channels, span[1]))
    group, member = split(image, per_group)
    part = (member * pl.num_programs(1) + place) * column_tiles + tile
    for n, j in enumerate(shifts):
        for i in range(kh):
            there = inside & (j < kw)
            store(out, (group, part, i, j, lanes), jnp.sum(sums[n * kh + i], 0), there)
    store(bias, (group, part, lanes), jnp.sum(total, 0), inside & (share == 0))
