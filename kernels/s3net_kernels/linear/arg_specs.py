"""Calls of ``linear`` for tests and benchmarks."""

from __future__ import annotations

from s3net_kernels.testing import Arg, ArgSpec

__all__ = ["BENCHMARKS", "SPECS", "spec"]


def spec(
    shape: tuple[int, ...],
    outputs: int,
    bias: bool = True,
    residual: bool = False,
    activation: str | None = None,
    dtype: str = "float32",
) -> ArgSpec:
    """Describe a call on x of ``shape`` with ``outputs`` output channels."""
    name = "x".join(map(str, shape)) + f" to {outputs}" + ("" if bias else " no bias")
    name += (" residual" if residual else "") + (f" {activation}" if activation else "")
    name += "" if dtype == "float32" else f" {dtype}"
    rows = 1
    for side in shape[:-1]:
        rows *= side
    args = (
        Arg(shape, reduced=outputs),
        Arg((shape[-1], outputs), reduced=rows),
        Arg((outputs,), reduced=rows) if bias else None,
        Arg((*shape[:-1], outputs)) if residual else None,
    )
    options = {"activation": activation, "precision": None, "through": False}
    return ArgSpec("linear", name, args, options, shape[-1], dtype, (1, 2))


SPECS = (
    spec((1, 1, 1, 1), 1, bias=False),
    spec((2, 5, 7, 3), 4, residual=True),
    spec((1, 9, 4, 16), 3, activation="gelu"),
    spec((1, 11, 13, 64), 64),
    spec((2, 5, 6, 192), 16, residual=True, activation="gelu"),
    spec((3, 8, 5), 27),
    spec((1, 130, 33), 70, bias=False, activation="gelu"),
    spec((1, 12, 10, 64), 64, residual=True, activation="gelu", dtype="bfloat16"),
)

BENCHMARKS = (
    spec((1, 256, 256, 64), 64),
    spec((1, 256, 256, 64), 64, activation="gelu"),
    spec((1, 256, 256, 64), 64, residual=True),
    spec((1, 256, 256, 192), 64),
    spec((8, 256, 256, 64), 64, activation="gelu"),
)
