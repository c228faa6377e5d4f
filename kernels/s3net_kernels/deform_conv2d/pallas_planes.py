"""Offsets and masks as planes: a transposition.

Backward reads one tap of many pixels at a time, by all its threads. Where a pixel's numbers lie
side by side, each such read touches a cache line for one or two of them; in planes the pixels lie
side by side. XLA's own transposition of so few channels is several times slower than this kernel.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import Array
from jax.experimental import pallas as pl

from s3net_kernels._pallas import block, ceil_div, launch, load, portion, power_of_two, store

__all__ = ["to_planes"]

_VALUES = 4096
"""Numbers of a program, about."""


def to_planes(offset: Array, mask: Array) -> Array:
    """(N, 3·kh·kw, H·W) float32: y and x offsets of every tap in turn, then the masks.

    Args:
      offset: (N, H, W, 2·kh·kw) float32.
      mask: (N, H, W, kh·kw) float32.
    """
    images, height, width, taps = mask.shape
    pixels = height * width
    size = min(power_of_two(pixels), max(_VALUES // power_of_two(2 * taps), 16))
    return launch(
        functools.partial(_kernel, taps=taps, pixels=pixels, size=size),
        jax.ShapeDtypeStruct((images, 3 * taps, pixels), jnp.float32),
        (ceil_div(pixels, size), images),
        {"num_warps": 4},
        *(a.reshape(images, pixels, -1) for a in (offset, mask)),
        name="deform_to_planes",
    )


def _kernel(offset, mask, planes, *, taps: int, pixels: int, size: int):
    image, some = pl.program_id(1), portion(pl.program_id(0), size, pixels)
    for ref, first, count in ((offset, 0, 2 * taps), (mask, 2 * taps, taps)):
        channels = jnp.arange(power_of_two(count), dtype=jnp.int32)
        here, exist = block((image,), some, (channels, channels < count))
        there = (image, first + channels[None, :], some[0][:, None])
        store(planes, there, load(ref, here, exist), exist)
