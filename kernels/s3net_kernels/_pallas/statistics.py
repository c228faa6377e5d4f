"""Combine mean and variance of many rows from partial results, for the Pallas kernels.

Each part subtracts a pivot near its own mean before squaring, and the parts are combined as in
Chan, Golub and LeVeque (1983); this avoids cancellation.
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
    """Store a part's mean and sum of squares about it in ``out[*place, 0 and 1, lanes]``.

    Args:
      out: reference (..., 2, C) to write to.
      place: indices before the last two.
      lanes: indices of the channels, and a mask of the valid ones.
      sums: a pivot (C,), then the distances from it and their squares, (rows, C) each, still to
        be summed over the rows.
      count: number of rows of the part.
    """
    pivot, total, squares = sums[0], jnp.sum(sums[1], 0), jnp.sum(sums[2], 0)
    many = count.astype(jnp.float32)
    for n, value in enumerate((pivot + total / many, squares - total * total / many)):
        store(out, (*place, n, lanes[0]), value, lanes[1])


def combine_parts(partial: Array, rows: int, span: int) -> tuple[Array, Array]:
    """Combine partial results to mean and biased variance, (N, C) float32 each.

    Args:
      partial: results (N, parts, 2, C) of :func:`store_part`.
      rows: number of rows of an image.
      span: number of rows of a part; the last part has the remainder.
    """
    count = jnp.clip(rows - span * jnp.arange(partial.shape[1]), 0, span).astype(jnp.float32)
    means, squares = partial[:, :, 0], partial[:, :, 1]
    mean = jnp.sum(means * count[:, None], 1) / rows
    between = jnp.sum(jnp.square(means - mean[:, None]) * count[:, None], 1)
    return mean, (jnp.sum(squares, 1) + between) / rows
