"""Mean and variance of many rows out of those of a few parts, for the Pallas kernels.

Every part subtracts a number near its own mean before it squares, and the parts' means and squares
are put together as Chan, Golub and LeVeque (1983) do: nothing cancels.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array

from s3net_kernels._pallas.memory import store

__all__ = ["combine_parts", "store_part"]


def store_part(
    out: Any,
    place: tuple[Any, ...],
    lanes: tuple[Array, Array],
    sums: tuple[Array, Array, Array],
    count: Array,
) -> None:
    """Writes a part's mean and sum of squares about it to ``out[*place, 0 and 1, lanes]``.

    Args:
      out: the reference, (..., 2, C).
      place: the indices before the last two.
      lanes: the channels, and which of them exist.
      sums: a pivot (C,); sums of the distances from it and of their squares, (rows, C) each, yet
        to be summed over the rows.
      count: how many rows the part has.
    """
    pivot, total, squares = sums[0], jnp.sum(sums[1], 0), jnp.sum(sums[2], 0)
    many = count.astype(jnp.float32)
    for n, value in enumerate((pivot + total / many, squares - total * total / many)):
        store(out, (*place, n, lanes[0]), value, lanes[1])


def combine_parts(partial: Array, rows: int, span: int) -> tuple[Array, Array]:
    """Mean and biased variance, (N, C) float32.

    Args:
      partial: (N, parts, 2, C) of :func:`store_part`.
      rows: of an image.
      span: rows of a part; the last has what is left.
    """
    count = jnp.clip(rows - span * jnp.arange(partial.shape[1]), 0, span).astype(jnp.float32)
    means, squares = partial[:, :, 0], partial[:, :, 1]
    mean = jnp.sum(means * count[:, None], 1) / rows
    between = jnp.sum(jnp.square(means - mean[:, None]) * count[:, None], 1)
    return mean, (jnp.sum(squares, 1) + between) / rows
