"""The CPU kernels: a plain shared library of XLA FFI handlers, loaded on first use."""

from __future__ import annotations

from s3net_kernels._native.call import (
    call,
    packed_columns,
    reduced,
    scratch_dtype,
    storage_dtype,
    unavailable,
    unsupported,
)
from s3net_kernels._native.library import instruction_set, multiplies_bfloat16, use_instruction_set

__all__ = [
    "call",
    "instruction_set",
    "multiplies_bfloat16",
    "packed_columns",
    "reduced",
    "scratch_dtype",
    "storage_dtype",
    "unavailable",
    "unsupported",
    "use_instruction_set",
]
