"""Shared parts of the Pallas kernels: launching, memory access, block sizes, and ``vmap``."""

from __future__ import annotations

from s3net_kernels._pallas.backend import launch, supports, unavailable
from s3net_kernels._pallas.batching import add_group_axis, fold_images
from s3net_kernels._pallas.device import (
    LEAST_SIDE,
    ceil_div,
    choose_sum_dtype,
    count_buffers,
    get_shared_memory,
    round_to_power,
)
from s3net_kernels._pallas.gathering import gather_sum
from s3net_kernels._pallas.memory import (
    add_at,
    block,
    load,
    make_zeros_for_sums,
    matmul,
    portion,
    split,
    store,
)
from s3net_kernels._pallas.statistics import combine_parts, store_part
from s3net_kernels._pallas.tuning import Blocks, Problem, choose

__all__ = [
    "LEAST_SIDE",
    "Blocks",
    "Problem",
    "add_at",
    "add_group_axis",
    "block",
    "ceil_div",
    "choose",
    "choose_sum_dtype",
    "combine_parts",
    "count_buffers",
    "fold_images",
    "gather_sum",
    "get_shared_memory",
    "launch",
    "load",
    "make_zeros_for_sums",
    "matmul",
    "portion",
    "round_to_power",
    "split",
    "store",
    "store_part",
    "supports",
    "unavailable",
]
