"""What a kernel may assume of the GPU it is compiled for."""

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
    "round_to_power",
    "shared_memory",
]

LEAST_SIDE = 16
"""Smallest side of a matrix product on tensor cores."""
_SHARED = {8.0: 166912, 8.7: 166912, 9.0: 232448, 10.0: 232448, 10.3: 232448}
"""Bytes of shared memory of a program, by compute capability."""
_LEAST_SHARED = 101376
"""The same on a GPU of another compute capability."""


def choose_sum_dtype(dtype: Any) -> Any:
    """The dtype of an array of ``dtype`` to which a few more numbers are added atomically.

    bfloat16 stays so on a GPU that can add it (from compute capability 9 on). Otherwise it is
    float32, as many sums are always: in bfloat16 each loses a little.
    """
    narrow = jnp.dtype(dtype) == jnp.bfloat16 and capability() >= 9
    return jnp.dtype(jnp.bfloat16 if narrow else jnp.float32)


def capability() -> float:
    """Compute capability of the GPU; where there is none, that of an H100."""
    try:
        return float(jax.devices("gpu")[0].compute_capability)
    except RuntimeError:
        return 9.0


def shared_memory() -> int:
    """Bytes of shared memory that one program may use; compiling one that needs more fails."""
    return _SHARED.get(capability(), _LEAST_SHARED)


def count_buffers(stages: int) -> int:
    """How many tiles of an array a pipeline holds in shared memory, to multiply them."""
    # From compute capability 9 on, products are not waited for: what they read stays a while.
    return max(stages if capability() >= 9 else stages - 1, 1)


def ceil_div(count: int, size: int) -> int:
    """How many blocks of ``size`` cover ``count``."""
    return -(-count // size)


def round_to_power(count: int) -> int:
    """The smallest power of two that is at least ``count``."""
    return 1 << max(count - 1, 0).bit_length()
