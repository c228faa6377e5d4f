"""CPU kernels: a plain shared library of XLA FFI handlers, loaded on first use."""

from __future__ import annotations

from s3net_kernels._native.call import (
    call,
    choose_scratch_dtype,
    choose_storage_dtype,
    convert,
    count_packed_columns,
    rounds_factors,
    supports,
    unavailable,
)
from s3net_kernels._native.library import instruction_set, multiplies_bfloat16, use_instruction_set

__all__ = [
    "call",
    "choose_scratch_dtype",
    "choose_storage_dtype",
    "convert",
    "count_packed_columns",
    "instruction_set",
    "multiplies_bfloat16",
    "rounds_factors",
    "supports",
    "unavailable",
    "use_instruction_set",
]
