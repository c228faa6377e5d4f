"""Calls of ``conv2d`` for tests and benchmarks."""

from __future__ import annotations

from s3net_kernels.testing import Arg, ArgSpec

__all__ = ["BENCHMARKS", "SPECS", "spec"]


def spec(
    shape: tuple[int, int, int, int],
    features: int,
    size: tuple[int, int] = (3, 3),
    bias: bool = True,
    dtype: str = "float32",
) -> ArgSpec:
    """Describe a call on x of ``shape`` with ``features`` output channels."""
    name = "x".join(map(str, shape)) + f" to {features} k{size[0]}x{size[1]}"
    name += ("" if bias else " no bias") + ("" if dtype == "float32" else f" {dtype}")
    taps, channels, pixels = size[0] * size[1], shape[3], shape[0] * shape[1] * shape[2]
    args = (
        Arg(shape, reduced=taps * features),
        Arg((*size, channels, features), reduced=pixels),
        Arg((features,), reduced=pixels) if bias else None,
    )
    return ArgSpec("conv2d", name, args, {}, taps * channels, dtype, (1, 2))


SPECS = (
    spec((1, 1, 1, 1), 1, bias=False),
    spec((2, 5, 7, 3), 4),
    spec((1, 9, 4, 16), 3, (1, 5)),
    spec((1, 18, 51, 64), 27),
    spec((2, 2, 3, 20), 16, (7, 5), bias=False),
    spec((3, 8, 6, 3), 64),
    spec((1, 12, 10, 16), 16, dtype="bfloat16"),
)

BENCHMARKS = (spec((1, 256, 256, 3), 64), spec((1, 256, 256, 64), 27))
