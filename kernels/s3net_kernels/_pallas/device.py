"""Properties of the GPU that a kernel is compiled for."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

__all__ = [
    "LEAST_SIDE",
    "capability",
    "ceil_div",
    "choose_sum_dtype",
    "count_buffers",
    "get_shared_memory",
    "round_to_power",
]

LEAST_SIDE = 16
"""Smallest side of a matrix product on tensor cores."""
_SHARED = {8.0: 166912, 8.7: 166912, 9.0: 232448, 10.0: 232448, 10.3: 232448}
"""Maximum shared memory of a program in bytes, by compute capability."""
_LEAST_SHARED = 101376
"""Maximum shared memory in bytes at any other compute capability."""


def choose_sum_dtype(dtype: Any) -> Any:
    """Choose the dtype of an array of ``dtype`` to which a few more numbers are added atomically.

    bfloat16 is kept on a GPU that can add it atomically (compute capability 9.0 or more). Where
    many numbers are summed, the array is always float32, because each addition in bfloat16 loses
    precision.
    """
    narrow = jnp.dtype(dtype) == jnp.bfloat16 and capability() >= 9
    return jnp.dtype(jnp.bfloat16 if narrow else jnp.float32)


def capability() -> float:
    """Return the GPU's compute capability, or an H100's if there is no GPU."""
    try:
        return float(jax.devices("gpu")[0].compute_capability)
    except RuntimeError:
        return 9.0


def get_shared_memory() -> int:
    """Return the shared memory in bytes that one program may use; more fails to compile."""
    return _SHARED.get(capability(), _LEAST_SHARED)


def count_buffers(stages: int) -> int:
    """Count the tiles of an array that a pipeline holds in shared memory as product factors."""
    # From compute capability 9.0 on, products are asynchronous: their factors stay one more stage.
    return max(stages if capability() >= 9 else stages - 1, 1)


def ceil_div(count: int, size: int) -> int:
    """Return the number of blocks of ``size`` that cover ``count``."""
    return -(-count // size)


def round_to_power(count: int) -> int:
    """Return the smallest power of two that is at least ``count``."""
    return 1 << max(count - 1, 0).bit_length()
