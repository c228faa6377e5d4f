"""Calls of ``batch_norm`` for tests and benchmarks."""

from __future__ import annotations

import math

from s3net_kernels.testing import Arg, ArgSpec

__all__ = ["BENCHMARKS", "SPECS", "spec"]


def spec(shape: tuple[int, ...], dtype: str = "float32") -> ArgSpec:
    """Describe a call on x of ``shape``."""
    name = "x".join(map(str, shape)) + ("" if dtype == "float32" else f" {dtype}")
    rows = math.prod(shape[:-1])
    args = (
        Arg(shape, reduced=rows),
        Arg(shape[-1:], reduced=rows),
        Arg(shape[-1:], reduced=rows),
    )
    return ArgSpec("batch_norm", name, args, {"epsilon": 1e-5}, rows, dtype, (1, 2))


SPECS = (
    spec((1, 2, 2, 1)),
    spec((2, 5, 7, 3)),
    spec((1, 9, 4, 16)),
    spec((1, 31, 27, 64)),
    spec((2, 65, 70, 5)),
    spec((13, 192)),
    spec((1, 16, 16, 64), "bfloat16"),
)

BENCHMARKS = (spec((1, 256, 256, 64)), spec((8, 256, 256, 64)))
