"""Calls of ``affine_warp`` for tests and benchmarks."""

from __future__ import annotations

from s3net_kernels.testing import Arg, ArgSpec

__all__ = ["BENCHMARKS", "SPECS", "spec"]


def spec(
    shape: tuple[int, int, int, int],
    boundary: str = "zeros",
    shared: bool = False,
    dtype: str = "float32",
) -> ArgSpec:
    """Describe a call on x of ``shape``, with one matrix for all images if ``shared``."""
    name = "x".join(map(str, shape)) + f" {boundary}" + (" shared" if shared else "")
    name += "" if dtype == "float32" else f" {dtype}"
    matrix = (2, 3) if shared else (shape[0], 2, 3)
    terms = shape[1] * shape[2] * shape[3] * (shape[0] if shared else 1)
    args = (Arg(shape, reduced=4), Arg(matrix, "matrix", terms))
    return ArgSpec("affine_warp", name, args, {"boundary": boundary}, 4, dtype, (1,))


SPECS = (
    spec((1, 1, 1, 1)),
    spec((2, 5, 7, 3), "edge"),
    spec((2, 9, 6, 16)),
    spec((3, 6, 6, 3), "edge", shared=True),
    spec((1, 11, 13, 64), shared=True),
    spec((1, 8, 8, 16), "edge", dtype="bfloat16"),
)

BENCHMARKS = (spec((1, 256, 256, 64), "edge", shared=True), spec((8, 256, 256, 64), "edge"))
