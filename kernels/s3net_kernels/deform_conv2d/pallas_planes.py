"""Transpose offsets and masks into planes.

The backward pass reads one tap of many pixels at a time with all its threads. In the public
layout the numbers of one pixel are contiguous, so each such read would use only one or two numbers
of a cache line; in planes the pixels are contiguous. XLA's own transposition of so few channels is
several times slower than this kernel.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import pallas as pl

from s3net_kernels._pallas import block, ceil_div, launch, load, portion, round_to_power, store

__all__ = ["Planes", "to_planes"]

_VALUES = 4096
"""Approximate number of values that a program transposes."""


class Planes(NamedTuple):
    """Offsets and masks as planes, and counts of near offsets."""

    values: Array
    """(N, 3·kh·kw, H·W) float32: y and x offsets of every tap in turn, then the masks."""
    near: Array
    """(N, parts of the image, 2, 2·kh·kw) float32: number of pixels whose offset is in [−1, 0), and
    in [0, 1)."""


def to_planes(offset: Array, mask: Array) -> Planes:
    """Transpose float32 offsets (N, H, W, 2·kh·kw) and masks (N, H, W, kh·kw) into planes."""
    images, height, width, taps = mask.shape
    pixels = height * width
    size = min(round_to_power(pixels), max(_VALUES // round_to_power(2 * taps), 16))
    parts = ceil_div(pixels, size)
    shapes = (images, 3 * taps, pixels), (images, parts, 2, 2 * taps)
    planes = launch(
        functools.partial(_kernel, taps=taps, pixels=pixels, size=size),
        [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes],
        (parts, images),
        {"num_warps": 4},
        *(a.reshape(images, pixels, -1) for a in (offset, mask)),
        name="deform_to_planes",
    )
    return Planes(*planes)


def _kernel(offset, mask, planes, near, *, taps: int, pixels: int, size: int):
    part, image = pl.program_id(0), pl.program_id(1)
    some = portion(part, size, pixels)
    for ref, first, count in ((offset, 0, 2 * taps), (mask, 2 * taps, taps)):
        channels = jnp.arange(round_to_power(count), dtype=jnp.int32)
        here, exist = block((image,), some, (channels, channels < count))
        values = load(ref, here, exist)
        store(planes, (image, first + channels[None, :], some[0][:, None]), values, exist)
        if ref is offset:
            for n, low in enumerate((-1, 0)):
                is_near = exist & (values >= low) & (values < low + 1)
                index = (image, part, lax.full_like(image, n), channels)
                store(near, index, jnp.sum(is_near.astype(jnp.float32), 0), channels < count)
