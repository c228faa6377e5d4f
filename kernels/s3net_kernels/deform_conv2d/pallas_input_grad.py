"""Compute the deformable convolution's gradient by its input, gathering where possible.

Scattering needs an atomic addition for each corner of each tap. If all samples of an image are
near, every pixel instead reads, for each tap, the pixels whose samples may reach it: those in a
window of up to three by three pixels around the tap's position without offset. A sample at y adds
the fraction max(0, 1 − |y − row|) of itself to ``row``. The few samples that reach beyond the
window, and all samples of the other images, are scattered: see ``pallas_scatter``.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import pallas as pl

from s3net_kernels._pallas import Blocks, choose_sum_dtype, launch, load, matmul, split, store
from s3net_kernels.deform_conv2d.pallas_call import Call, flatten_taps
from s3net_kernels.deform_conv2d.pallas_planes import Planes

__all__ = ["Reach", "find_reach", "input_grad", "window"]

_RARE = 1 / 64
"""Share of a tap's samples up to which they are scattered instead of enlarging the window."""


class Reach(NamedTuple):
    """Distances that the samples of images reach."""

    windows: Array
    """(N, kh·kw, 4) int32 window of each tap: first and last row, first and last column, relative
    to the tap's position without offset, from −1 to 1."""
    far: Array
    """(N,) int32: 1 if more than a few samples of a tap are beyond its window, else 0."""


def find_reach(planes: Planes) -> Reach:
    """Find the window of every tap, and the images for which windows are insufficient."""
    images, _, pixels = planes.values.shape
    share = planes.near.sum(1).reshape(images, 2, -1, 2) / pixels
    wanted = share > _RARE
    held = jnp.sum(jnp.where(wanted, share, 0), 1)
    below, above = wanted[:, 0], wanted[:, 1]
    windows = jnp.stack((jnp.where(below, -1, 0), jnp.where(above, 1, 0)), -1)
    far = jnp.any(held < 1 - _RARE, (1, 2))
    return Reach(windows.reshape(images, -1, 4), far.astype(jnp.int32))


def input_grad(
    x: Array,
    planes: Array,
    w: Array,
    g: Array,
    reach: Reach,
    scattered: Array,
    *,
    blocks: Blocks | None = None,
) -> Array:
    """Compute dx (N, H, W, Cin) except samples beyond the windows, in ``choose_sum_dtype``'s dtype.

    Args:
      x: array whose shape and dtype are used.
      planes: offsets and masks; see ``pallas_kernels.forward``.
      w: kernels; see ``pallas_kernels.forward``.
      g: cotangent (N, H, W, Cout).
      reach: windows and far images from :func:`find_reach`.
      scattered: float32 dx (N, H, W, Cin) of the far images.
      blocks: block sizes; None chooses them.
    """
    call = Call("input_grad", x, w.shape, blocks)
    dx = launch(
        functools.partial(_input_grad_kernel, call=call),
        jax.ShapeDtypeStruct((call.images * call.pixels, call.channels), choose_sum_dtype(x.dtype)),
        (call.pixel_tiles, call.chunks, call.images),
        call.blocks,
        planes,
        call.flatten(g),
        flatten_taps(w).astype(call.kind),
        *reach,
        call.rows(scattered),
        name="deform_input_grad",
    )
    return dx.reshape(x.shape)


def window(windows: Any, image: Any, tap: Any) -> list[Any]:
    """Load first and last row, first and last column of a tap's window."""
    return [load(windows, (image, tap, lax.full_like(image, n))) for n in range(4)]


def _input_grad_kernel(planes, g, w, windows, far, scattered, dx, *, call: Call):
    image, (group, _) = pl.program_id(2), split(pl.program_id(2), call.per_group)
    pixel, exists = call.pixel(pl.program_id(0))
    lanes = call.lanes(pl.program_id(1))
    row, column = split(pixel, call.width)
    features = [call.outs(n) for n in range(call.feature_tiles)]

    def tap(t, total):
        first_row, last_row, first_column, last_column = window(windows, image, t)
        i, j = split(t, call.kw)

        def add_row(down, sums):
            def add_column(right, sums):
                # The pixel whose tap, without offset, is that far from this pixel.
                at = row - i + call.kh // 2 - down, column - j + call.kw // 2 - right
                inside = exists & (at[0] >= 0) & (at[0] < call.height)
                inside = inside & (at[1] >= 0) & (at[1] < call.width)
                source = at[0] * call.width + at[1]
                place = call.place(planes, image, source, inside, t, at)
                share = place.scale
                for position, here in ((place.y, row), (place.x, column)):
                    share = share * jnp.maximum(1 - jnp.abs(position - here), 0)
                found = []
                for total, outs in zip(sums, features, strict=True):
                    index = (image, source[:, None], outs[0][None, :])
                    some = load(g, index, inside[:, None] & outs[1][None, :])
                    found.append(total + some * share[:, None])
                return found

            return lax.fori_loop(first_column, last_column + 1, add_column, sums)

        # Sum the cotangents of the tap's samples, weighted by how much of each reaches the pixel.
        zero = jnp.zeros((call.blocks["pixels"], call.blocks["features"]), jnp.float32)
        zeros = [zero] * len(features)
        gathered = lax.fori_loop(first_row, last_row + 1, add_row, zeros)
        for some, outs in zip(gathered, features, strict=True):
            matrix = call.matrix(w, group, t, lanes, outs)
            total = total + matmul(some.astype(call.kind), matrix, (1, 1))
        return total

    index = (image * call.pixels + pixel[:, None], lanes[0][None, :])
    valid = exists[:, None] & lanes[1][None, :]

    @pl.when(load(far, (image,)) > 0)
    def copy():
        store(dx, index, load(scattered, index, valid), valid)

    @pl.when(load(far, (image,)) == 0)
    def gather():
        start = jnp.zeros((call.blocks["pixels"], call.blocks["channels"]), jnp.float32)
        store(dx, index, lax.fori_loop(0, call.kh * call.kw, tap, start), valid)
