"""Calls of ``softmax_losses`` for tests and benchmarks."""

from __future__ import annotations

from s3net_kernels._arg_specs import ArgSpec

__all__ = ["BENCHMARKS", "SHAPES", "SPECS"]

# Results of several kinds: tests of its own (tests/kernels/test_softmax_losses.py).
SPECS: tuple[ArgSpec, ...] = ()
BENCHMARKS: tuple[ArgSpec, ...] = ()

SHAPES = ((1, 2, 2, 1), (2, 5, 7, 3), (1, 33, 9, 16), (1, 70, 12, 64), (3, 32, 3, 21))
