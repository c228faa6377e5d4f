"""Shared parts of the deformable convolution's Pallas kernels: shapes, block sizes, sampling."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from s3net_kernels._pallas import (
    LEAST_SIDE,
    Blocks,
    Problem,
    ceil_div,
    choose,
    load,
    portion,
    round_to_power,
    split,
)

__all__ = ["Call", "Cell", "Place", "candidates", "flatten_taps", "heuristic", "weigh"]


_MOST_TILES = 32
_PROGRAMS = 2048
"""Programs of sums over pixels: enough that the last wave, which leaves part of a large GPU idle,
is a small share of all. Each program writes sums as large as the weights of its taps."""


def heuristic(problem: Problem) -> dict[str, int]:
    """Choose block sizes for every kernel without measurements."""
    kernel = problem.kernel.rpartition(".")[2]
    channels = max(LEAST_SIDE, round_to_power(problem.channels))
    features = max(LEAST_SIDE, round_to_power(problem.features))
    # Sample positions are computed once for all portions of the sampled array, by as many threads
    # as one portion needs. Small portions need few threads, which repeat less work.
    gathers = kernel == "input_grad"
    # The columns and samples of float32 need the registers of more threads.
    wide = kernel == "backward" and problem.dtype == "float32"
    # So do those of many channels, because all their blocks are unrolled.
    many = kernel == "backward" and max(channels, features) > 64
    # The outlier kernel checks all taps at once.
    pixels = 16 if many else 32 if kernel == "outliers" else 64
    programs = math.prod(problem.size) * problem.images
    programs *= ceil_div(problem.height * problem.width, pixels)
    return {
        "pixels": pixels,
        "channels": min(channels, 64 if gathers else 32),
        "features": min(features, 32 if gathers else 64),
        "tiles": max(2, min(round_to_power(programs // _PROGRAMS), _MOST_TILES)),
        "num_warps": 8 if wide else 4,
        "num_stages": 1,
    }


def candidates(problem: Problem) -> list[dict[str, int]]:
    """List block sizes for every kernel worth measuring."""
    base = heuristic(problem)
    summed = problem.kernel.endswith(("weight_grad", "backward"))
    gathers = problem.kernel.endswith("input_grad")
    sampled, count = ("features", problem.features) if gathers else ("channels", problem.channels)
    most = max(LEAST_SIDE, round_to_power(count))
    return [
        {**base, "pixels": p, sampled: c, "tiles": t, "num_warps": warps, "num_stages": stages}
        for p in sorted({base["pixels"], 32, 64, 128})
        for c in {LEAST_SIDE, base[sampled], min(2 * base[sampled], most)}
        for t in ({base["tiles"], 4 * base["tiles"], _MOST_TILES} if summed else {base["tiles"]})
        for warps in (4, 8)
        for stages in (1, 3)
        if 8 <= p * c // (32 * warps) <= 32
    ]


class Place(NamedTuple):
    """Sample positions of a tap for some pixels; every field has the pixels' shape."""

    row: Array
    """int32 position of the tap without offset."""
    column: Array
    y: Array
    """float32 position of the tap with offset."""
    x: Array
    scale: Array
    """Mask value of the tap."""


class Cell(NamedTuple):
    """The four pixels around each place: their rows in memory and their weights."""

    first: Array
    """int32 row of the upper left pixel in the flattened images; it may be outside."""
    width: int
    """Distance in rows from a pixel to the one below."""
    down: Array
    """float32 distance of the place below the upper pixels, in [0, 1). NaN stays NaN."""
    right: Array
    inside: tuple[Array, ...]
    """Masks of the pixels inside the image: upper left, upper right, lower left, lower right."""

    @property
    def rows(self) -> tuple[Array, ...]:
        """Return the rows of the pixels in the flattened images."""
        return self.first, self.first + 1, self.first + self.width, self.first + self.width + 1

    def shares(self, scale: Array) -> tuple[Array, ...]:
        """Return the pixels' weights times ``scale``; the caller must mask pixels outside."""
        lower = self.down * scale
        upper = scale - lower
        return (
            upper - upper * self.right,
            upper * self.right,
            lower - lower * self.right,
            lower * self.right,
        )

    def samples(self, images: Any, lanes: tuple[Array, Array]) -> list[Array]:
        """Load (P, C) values of each of the four pixels, zero outside."""
        return [
            load(images, (row[:, None], lanes[0][None, :]), inside[:, None] & lanes[1][None, :])
            for row, inside in zip(self.rows, self.inside, strict=True)
        ]

    def blend(self, images: Any, lanes: tuple[Array, Array], scale: Array) -> Array:
        """Interpolate (P, C) values, times ``scale``."""
        return weigh(self.samples(images, lanes), self.shares(scale))


def weigh(samples: list[Array], shares: tuple[Array, ...]) -> Array:
    """Sum the (P, C) samples times their (P,) shares."""
    total = jnp.zeros(samples[0].shape, jnp.float32)
    for sample, share in zip(samples, shares, strict=True):
        total = total + sample * share[:, None]
    return total


class Call:
    """Shapes and block sizes of one call, and code that its kernels share."""

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

    def flatten(self, array: Array) -> Array:
        """Reshape (N, H, W, ...) to (N, H·W, ...)."""
        return array.reshape(self.images, self.pixels, array.shape[3])

    def rows(self, x: Array) -> Array:
        """Reshape (N, H, W, C) to (N·H·W, C)."""
        return x.reshape(self.images * self.pixels, self.channels)

    def pixel(self, tile: Any) -> tuple[Array, Array]:
        """Return the pixels of a tile, and a mask of the valid ones."""
        return portion(tile, self.blocks["pixels"], self.pixels)

    def lanes(self, chunk: Any) -> tuple[Array, Array]:
        """Return the input channels of a chunk, and a mask of the valid ones."""
        return portion(chunk, self.blocks["channels"], self.channels)

    def outs(self, tile: Any) -> tuple[Array, Array]:
        """Return the output channels of a tile, and a mask of the valid ones."""
        return portion(tile, self.blocks["features"], self.features)

    def place(
        self, planes: Any, image: Any, pixel: Array, exists: Array, tap: Any, at: Any = None
    ) -> Place:
        """Return the sample position of tap ``tap`` of each pixel, whose own position is ``at``."""
        (i, j), (row, column) = split(tap, self.kw), at or split(pixel, self.width)
        dy, dx = (load(planes, (image, 2 * tap + axis, pixel), exists) for axis in (0, 1))
        scale = load(planes, (image, 2 * self.kh * self.kw + tap, pixel), exists)
        row, column = row + i - self.kh // 2, column + j - self.kw // 2
        y, x = row.astype(jnp.float32) + dy, column.astype(jnp.float32) + dx
        return Place(row, column, y, x, scale)

    def cell(self, image: Any, place: Place, exists: Array) -> Cell:
        """Return the pixels around each place; all count as outside where ``exists`` is false."""
        sides = []
        for position, length in ((place.y, self.height), (place.x, self.width)):
            unknown = jnp.isnan(position)
            # Clip first: distant coordinates would overflow the conversion to an integer.
            near = jnp.clip(jnp.where(unknown, -2, position), -2, length)
            low = jnp.floor(near)
            index = low.astype(jnp.int32)
            inside = [(i >= 0) & (i < length) for i in (index, index + 1)]
            sides.append((index, jnp.where(unknown, position, near) - low, inside))
        (y, down, rows), (x, right, columns) = sides
        first = (image * self.height + y) * self.width + x
        inside = tuple(exists & row & column for row in rows for column in columns)
        return Cell(first, self.width, down, right, inside)

    def matrix(self, w: Any, group: Any, tap: Any, lanes, outs) -> Array:
        """Load the (channels, features) weights of a tap."""
        index = (group, tap, lanes[0][:, None], outs[0][None, :])
        return load(w, index, lanes[1][:, None] & outs[1][None, :]).astype(self.kind)


def flatten_taps(w: Array) -> Array:
    """Reshape (G, kh, kw, Cin, Cout) to (G, kh·kw, Cin, Cout)."""
    return w.reshape(w.shape[0], w.shape[1] * w.shape[2], *w.shape[3:])
