"""Compute how far two results may differ, by dtype and length of the sum."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np

__all__ = ["EPSILON", "relative_error", "tolerance"]

EPSILON = {"float64": 1e-15, "float32": 4e-7, "float16": 1e-3, "bfloat16": 8e-3}
"""A few units in the last place of each dtype."""


def tolerance(dtype, reduced: int = 1) -> float:
    """Return the largest error allowed for sums of ``reduced`` terms, relative to the largest.

    Rounding errors accumulate like a random walk, with the square root of the number of terms.
    """
    return EPSILON[jnp.dtype(dtype).name] * 4 * math.sqrt(max(reduced, 1))


def relative_error(actual, expected) -> float:
    """Compute max |actual − expected| / max |expected| in float64; absolute if all are zero."""
    a, e = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    if a.shape != e.shape:
        raise AssertionError(f"shapes differ: {a.shape} and {e.shape}")
    if a.size == 0:
        return 0.0
    scale = np.abs(e).max()
    return float(np.abs(a - e).max() / (scale if scale > 0 else 1.0))
