"""Calls of ``bilinear_sample`` for tests and benchmarks."""

from __future__ import annotations

from s3net_kernels.testing import Arg, ArgSpec

__all__ = ["BENCHMARKS", "SPECS", "spec"]


def spec(
    shape: tuple[int, int, int, int],
    size: tuple[int, int],
    boundary: str = "zeros",
    dtype: str = "float32",
) -> ArgSpec:
    """Describe a call on x of ``shape`` with (Ho, Wo) = ``size`` coordinates."""
    name = "x".join(map(str, shape)) + f" at {size[0]}x{size[1]} {boundary}"
    name += "" if dtype == "float32" else f" {dtype}"
    args = (
        Arg(shape, reduced=4 * size[0] * size[1] // (shape[1] * shape[2]) + 1),
        Arg((shape[0], *size, 2), "coords", shape[3], (shape[1], shape[2])),
    )
    return ArgSpec("bilinear_sample", name, args, {"boundary": boundary}, 4, dtype)


SPECS = (
    spec((1, 1, 1, 1), (3, 2)),
    spec((1, 1, 1, 3), (3, 2), "edge"),
    spec((2, 5, 7, 3), (4, 9)),
    spec((2, 5, 7, 16), (11, 6), "edge"),
    spec((1, 13, 9, 64), (8, 8)),
    spec((1, 6, 4, 192), (5, 3), "edge"),
    spec((1, 8, 8, 16), (8, 8), dtype="bfloat16"),
)

BENCHMARKS = (
    spec((1, 256, 256, 64), (256, 256)),
    spec((8, 256, 256, 64), (256, 256), "edge"),
)
