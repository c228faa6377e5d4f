"""Pallas kernels of the softmax losses: normaliser, edges and gradient.

A program holds all classes of a tile of pixels. Where neighbours matter, it iterates down some
rows and keeps the last two in registers. The derivative of |X−Y| + |X−XY| + |Y−XY| by d/dx, d/dy
and d²/dxdy is three integers from −2 to 2. The forward kernel packs them into one byte, a *code*,
so that the backward kernel only reads the logits of its own pixel.
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
    store,
)

__all__ = [
    "backward",
    "edges",
    "normalise",
    "normalise_candidates",
    "normalise_heuristic",
    "rows_candidates",
    "rows_heuristic",
]

_LOG2_E = 1.4426950408889634
_MIDDLE = 62
"""Half the number of codes, which makes them non-negative: 2 + 5·2 + 25·2."""


def normalise_heuristic(problem: Problem) -> dict[str, int]:
    """Choose block sizes for :func:`normalise` without measurements."""
    classes = round_to_power(problem.channels)
    pixels = min(round_to_power(problem.height * problem.width), max(2048 // classes, 1))
    return {"pixels": pixels, "num_warps": 4}


def normalise_candidates(problem: Problem) -> list[dict[str, int]]:
    """List block sizes for :func:`normalise` worth measuring."""
    classes = round_to_power(problem.channels)
    return [
        {"pixels": pixels, "num_warps": warps}
        for pixels in (4, 8, 16, 32, 64, 128, 256)
        for warps in (1, 2, 4, 8)
        if pixels <= round_to_power(problem.height * problem.width)
        and 1 <= pixels * classes // (32 * warps) <= 64
    ]


def rows_heuristic(problem: Problem) -> dict[str, int]:
    """Choose block sizes for :func:`edges` and :func:`backward` without measurements."""
    classes = round_to_power(problem.channels)
    columns = min(round_to_power(problem.width), max(1024 // classes, 1))
    # More rows need fewer loads, but with few images too few programs would fill a GPU.
    rows = 1 if problem.kernel.endswith(".backward") else 4 if problem.images < 4 else 8
    return {"columns": columns, "rows": rows, "num_warps": 4}


def rows_candidates(problem: Problem) -> list[dict[str, int]]:
    """List block sizes for :func:`edges` and :func:`backward` worth measuring."""
    classes = round_to_power(problem.channels)
    is_backward = problem.kernel.endswith(".backward")
    return [
        {"columns": columns, "rows": rows, "num_warps": warps}
        for columns in (4, 8, 16, 32, 64)
        for rows in ((1,) if is_backward else (2, 4, 8, 16, 32))
        for warps in (1, 2, 4, 8)
        if columns <= round_to_power(problem.width)
        # A thread keeps up to five values for each element of a tile.
        and 1 <= columns * classes // (32 * warps) <= (64 if is_backward else 16)
    ]


def _problem(direction: str, z: Array) -> Problem:
    images, height, width, classes = z.shape
    name = f"softmax_losses.{direction}"
    return Problem(name, z.dtype.name, images, height, width, classes)


def normalise(
    z: Array, labels: Array | None, weight: Array | None, *, blocks: Blocks | None = None
) -> tuple[Array, Array, Array]:
    """Compute cross entropy (N,), labels (N, H, W) and log Σ exp z (N, H, W); sums in float32.

    Args:
      z: logits (N, H, W, K).
      labels: int32 labels (N, H, W), or None for the first of the largest logits.
      weight: weights (N, H, W), or None for 1.
      blocks: block sizes; None chooses them.
    """
    blocks = blocks or choose(_problem("normalise", z), normalise_heuristic)
    images, height, width, classes = z.shape
    pixels, flat = height * width, (images, height * width)
    tiles = ceil_div(pixels, blocks["pixels"])
    kernel = functools.partial(
        _normalise_kernel,
        extent=(pixels, classes),
        span=(blocks["pixels"], round_to_power(classes)),
        given=labels is not None,
        weighted=weight is not None,
    )
    out = [
        jax.ShapeDtypeStruct((images, tiles), jnp.float32),
        jax.ShapeDtypeStruct(flat, jnp.float32),
        *([jax.ShapeDtypeStruct(flat, jnp.int32)] if labels is None else []),
    ]
    args = [a.reshape(flat) for a in (labels, weight) if a is not None]
    z = z.reshape(*flat, classes)
    results = launch(kernel, out, (tiles, images), blocks, z, *args, name="losses_normalise")
    maps = (images, height, width)
    used = results[2].reshape(maps) if labels is None else labels
    return results[0].sum(1), used, results[1].reshape(maps)


def _normalise_kernel(z, *refs, extent, span, given, weighted):
    inputs, (sums, lse, *used) = refs[: given + weighted], refs[given + weighted :]
    (pixels, classes), tile, image = extent, pl.program_id(0), pl.program_id(1)
    pixel = tile * span[0] + jnp.arange(span[0], dtype=jnp.int32)
    lanes, exists = jnp.arange(span[1], dtype=jnp.int32)[None, :], pixel < pixels
    value = load(z, (image, pixel[:, None], lanes), exists[:, None] & (lanes < classes))
    masked = jnp.where(lanes < classes, value, -jnp.inf)
    top = jnp.max(masked, 1)
    total = top + jnp.log(jnp.sum(jnp.exp(masked - top[:, None]), 1))
    if given:
        label = load(inputs[0], (image, pixel), exists)
        # Lanes without a class hold 0, which is the logit of a label that is not a class.
        score = jnp.sum(jnp.where(lanes == label[:, None], value, 0), 1)
    else:
        score = top
        # Clamp to a class: with NaN logits, argmax may return a lane without a class.
        label = jnp.minimum(lax.argmax(masked, 1, jnp.int32), classes - 1)
        store(used[0], (image, pixel), label, exists)
    loss = jnp.where(exists, total - score, 0)
    if weighted:
        loss = loss * load(inputs[-1], (image, pixel), exists)
    store(lse, (image, pixel), total, exists)
    store(sums, (image, tile), jnp.sum(loss))


def edges(
    z: Array, lse: Array, *, codes: bool, blocks: Blocks | None = None
) -> tuple[Array, Array | None]:
    """Compute Σ |X−Y| + |X−XY| + |Y−XY| (N,) float32, and int8 codes (N, H, W, K) or None.

    Args:
      z: logits (N, H, W, K).
      lse: log-sums (N, H, W) from :func:`normalise`.
      codes: whether to write the codes of the slopes: cx + 5·cy + 25·cxy.
      blocks: block sizes; None chooses them.
    """
    blocks = blocks or choose(_problem("edges", z), rows_heuristic)
    images, height, width, classes = z.shape
    span = blocks["columns"], round_to_power(classes), min(blocks["rows"], height)
    tiles, steps = ceil_div(width, span[0]), ceil_div(height, span[2])
    flat = (images, height * width, classes)
    kernel = functools.partial(_edges_kernel, extent=(height, width, classes), span=span)
    out = [
        jax.ShapeDtypeStruct((images, steps * tiles), jnp.float32),
        *([jax.ShapeDtypeStruct(flat, jnp.int8)] if codes else []),
    ]
    args = z.reshape(flat), lse.reshape(flat[:2])
    results = launch(kernel, out, (tiles, steps, images), blocks, *args, name="losses_edges")
    return results[0].sum(1), results[1].reshape(z.shape) if codes else None


def _edges_kernel(z, lse, sums, *codes, extent, span):
    (height, width, classes), rows, image = extent, span[2], pl.program_id(2)
    columns, lanes, top = _tile(span)
    exists, inside = columns < width, lanes < classes

    def three_taps(row):
        """Return difference and smoothing of the softmax along a row with reflected border."""
        valid, row = row <= height, _reflect(row, height)

        def load_shifted(shift):
            pixel = row * width + _reflect(columns + shift, width)
            return _softmax(z, lse, image, pixel, exists & valid, lanes, inside)

        before, here, after = load_shifted(-1), load_shifted(0), load_shifted(1)
        return after - before, before + 2 * here + after

    def step(n, carry):
        (dx0, smooth0), (dx1, smooth1), total = carry
        dx2, smooth2 = three_taps(top + n + 1)
        slopes = dx0 + 2 * dx1 + dx2, smooth2 - smooth0, dx2 - dx0
        x, y, xy = (jnp.abs(slope) for slope in slopes)
        apart = x - y, x - xy, y - xy
        mask = (exists & (top + n < height))[:, None] & inside
        value = jnp.abs(apart[0]) + jnp.abs(apart[1]) + jnp.abs(apart[2])
        total = total + jnp.where(mask, value, 0)
        if codes:
            pixel = (top + n) * width + columns[:, None]
            store(codes[0], (image, pixel, lanes), _encode(slopes, apart), mask)
        return (dx1, smooth1), (dx2, smooth2), total

    start = three_taps(top - 1), three_taps(top), jnp.zeros(span[:2], jnp.float32)
    total = lax.fori_loop(0, rows, step, start)[2]
    part = pl.program_id(1) * pl.num_programs(0) + pl.program_id(0)
    store(sums, (image, part), jnp.sum(total))


def _tile(span: tuple[int, int, int]) -> tuple[Array, Array, Array]:
    """Return the columns of this program, (1, K) lanes, and the first row."""
    columns = pl.program_id(0) * span[0] + jnp.arange(span[0], dtype=jnp.int32)
    return columns, jnp.arange(span[1], dtype=jnp.int32)[None, :], pl.program_id(1) * span[2]


def _reflect(index: Array, size: int) -> Array:
    """Reflect indices from −1 to ``size`` at the border without repeating its pixel."""
    return jnp.where(index < 0, -index, jnp.where(index >= size, 2 * (size - 1) - index, index))


def _softmax(z, lse, image, pixel: Array, exists: Array, lanes: Array, inside: Array) -> Array:
    """Compute the (P, K) softmax; it is meaningless at invalid pixels and lanes."""
    value = load(z, (image, pixel[:, None], lanes), exists[:, None] & inside)
    exponent = value - load(lse, (image, pixel), exists)[:, None]
    return jnp.exp2(exponent * _LOG2_E)  # one instruction, where exp takes eight


def _encode(slopes: tuple[Array, ...], apart: tuple[Array, ...]) -> Array:
    """Pack the derivative by three slopes into one number: cx + 5·cy + 25·cxy.

    Since d|s| = sign(s), cx is sign(gx)·(sign(X−Y) + sign(X−XY)), and so on.
    """
    x, y, xy = (_code_sign(slope, most) for slope, most in zip(slopes, (1, 5, 25), strict=True))
    x_y, x_xy, y_xy = (_code_sign(difference, 1) for difference in apart)
    return x_y * (x - y) + x_xy * (x - xy) + y_xy * (y - xy)


def _code_sign(value: Array, most: int) -> Array:
    """Return ``most`` times the sign, in fewer instructions than comparisons need.

    Below about 1e-36 the magnitude is smaller than ``most``; the values around are then too small
    for their gradients to matter.
    """
    return jnp.clip(value * 1e38, -most, most)


def backward(
    z: Array,
    lse: Array,
    labels: Array,
    weight: Array | None,
    codes: Array | None,
    scale: Array,
    *,
    blocks: Blocks | None = None,
) -> Array:
    """Compute the gradient by the logits, in their dtype.

    Args:
      z: logits (N, H, W, K).
      lse: log-sums (N, H, W) from :func:`normalise`.
      labels: labels (N, H, W) from :func:`normalise`.
      weight: weights (N, H, W), or None for 1.
      codes: codes (N, H, W, K) from :func:`edges`, or None without edges.
      scale: cotangents (N, 2) of the cross entropy and of the edges.
      blocks: block sizes; None chooses them.
    """
    name = "backward" if codes is None else "edges_backward"
    blocks = blocks or choose(_problem(name, z), rows_heuristic)
    images, height, width, classes = z.shape
    flat = (images, height * width, classes)
    if codes is None:
        height, width = 1, height * width
    span = blocks["columns"], round_to_power(classes), min(blocks["rows"], height)
    kernel = functools.partial(
        _backward_kernel,
        extent=(height, width, classes),
        span=span,
        weighted=weight is not None,
        spatial=codes is not None,
    )
    args = [z.reshape(flat), lse.reshape(flat[:2]), labels.reshape(flat[:2]), scale.reshape(-1)]
    args += [] if weight is None else [weight.reshape(flat[:2])]
    args += [] if codes is None else [codes.reshape(flat)]
    out = jax.ShapeDtypeStruct(flat, z.dtype)
    grid = (ceil_div(width, span[0]), ceil_div(height, span[2]), images)
    dz = launch(kernel, out, grid, blocks, *args, name=f"losses_{name}")
    return dz.reshape(z.shape)


def _backward_kernel(z, lse, labels, scale, *refs, extent, span, weighted, spatial):
    (height, width, classes), rows, image = extent, span[2], pl.program_id(2)
    columns, lanes, top = _tile(span)
    inside = lanes < classes
    scales = load(scale, (2 * image,)), load(scale, (2 * image + 1,))

    def transpose(row):
        """Return a row's contributions to itself and, with a sign, to its neighbours.

        This is the transpose of ``three_taps``. A pixel at the border reads its neighbour twice
        for the smoothing, and not at all for the difference, but its code is then already 0.
        """
        valid = (row >= 0) & (row < height)

        def load_shifted(shift):
            column = columns + shift
            mask = ((column >= 0) & (column < width) & valid)[:, None] & inside
            index = (image, (row * width + column)[:, None], lanes)
            return _decode(load(refs[-2], index, mask))

        (x0, y0, xy0), (_, y1, _), (x2, y2, xy2) = (
            load_shifted(-1),
            load_shifted(0),
            load_shifted(1),
        )
        before, after = (_times(columns + shift, width)[:, None] for shift in (-1, 1))
        return x0 - x2, before * y0 + 2 * y1 + after * y2 + xy0 - xy2

    def step(n, carry):
        row = top + n
        pixel, exists = row * width + columns, (columns < width) & (row < height)
        p = jnp.where(inside, _softmax(z, lse, image, pixel, exists, lanes, inside), 0)
        factor = jnp.broadcast_to(scales[0], span[:1])
        if weighted:
            factor = factor * load(refs[0], (image, pixel), exists)
        chosen = lanes == load(labels, (image, pixel), exists)[:, None]
        slope = p * factor[:, None] - jnp.where(chosen, factor[:, None], 0)
        if spatial:
            (x0, y0), (x1, y1) = carry
            x2, y2 = transpose(row + 1)
            before, after = (_times(row + shift, height) for shift in (-1, 1))
            dp = (before * x0 + 2 * x1 + after * x2 + y0 - y2).astype(jnp.float32)
            slope = slope + scales[1] * (p * (dp - jnp.sum(p * dp, 1)[:, None]))
            carry = (x1, y1), (x2, y2)
        store(refs[-1], (image, pixel[:, None], lanes), slope, exists[:, None] & inside)
        return carry

    start = (transpose(top - 1), transpose(top)) if spatial else ()
    lax.fori_loop(0, rows, step, start)


def _decode(code: Array) -> tuple[Array, Array, Array]:
    """Unpack the int32 (cx, cy, cxy) of :func:`_encode`."""
    code = code.astype(jnp.int32) + _MIDDLE
    # Multiply and shift to divide by 5 and by 25; exact below 125.
    fifth, rest = (code * 205) >> 10, (code * 41) >> 10
    return code - 5 * fifth - 2, fifth - 5 * rest - 2, rest - 2


def _times(index: Array, size: int) -> Array:
    """Count how often a smoothing at ``index`` reads each of its neighbours."""
    return 1 + ((index == 0) | (index == size - 1)).astype(jnp.int32)
