"""Calls of ``linear_norm`` for tests and benchmarks."""

from __future__ import annotations

import math

from s3net_kernels.testing import Arg, ArgSpec

__all__ = ["BENCHMARKS", "SPECS", "spec"]


def spec(
    shape: tuple[int, ...], outputs: int, residual: bool = False, dtype: str = "float32"
) -> ArgSpec:
    """Describe a call on x of ``shape`` with ``outputs`` output channels."""
    name = "x".join(map(str, shape)) + f" to {outputs}" + (" residual" if residual else "")
    name += "" if dtype == "float32" else f" {dtype}"
    rows = math.prod(shape[:-1])
    args = (
        Arg(shape, reduced=rows),
        Arg((shape[-1], outputs), reduced=rows),
        None,  # its gradient is zero, so a relative error is undefined
        Arg((*shape[:-1], outputs), reduced=rows) if residual else None,
        Arg((outputs,), reduced=rows),
        Arg((outputs,), reduced=rows),
    )
    options = {"epsilon": 1e-5, "precision": None, "through": False}
    return ArgSpec("linear_norm", name, args, options, rows + shape[-1], dtype, (1, 4, 5))


SPECS = (
    spec((1, 2, 3, 2), 1),
    spec((2, 5, 7, 3), 4, residual=True),
    spec((1, 11, 13, 64), 64),
    spec((1, 31, 27, 64), 64, residual=True),
    spec((13, 192), 16),
    spec((1, 16, 16, 64), 64, residual=True, dtype="bfloat16"),
)

BENCHMARKS = (
    spec((1, 256, 256, 64), 64),
    spec((1, 256, 256, 64), 64, residual=True),
    spec((8, 256, 256, 64), 64),
)
