"""Calls of ``inception_depthwise`` for tests and benchmarks."""

from __future__ import annotations

from s3net_kernels.testing import Arg, ArgSpec

__all__ = ["BENCHMARKS", "SPECS", "spec"]


def spec(
    shape: tuple[int, int, int, int],
    sizes: tuple[int, ...] = (3, 5, 7),
    dilations: tuple[int, ...] = (1, 2, 3),
    dtype: str = "float32",
) -> ArgSpec:
    """Describe a call on x of ``shape`` with square kernels of ``sizes``."""
    name = "x".join(map(str, shape)) + f" k{'-'.join(map(str, sizes))}"
    name += f" d{'-'.join(map(str, dilations))}" + ("" if dtype == "float32" else f" {dtype}")
    pixels, channels = shape[0] * shape[1] * shape[2], shape[3]
    args = (
        Arg(shape, reduced=sum(k * k for k in sizes)),
        tuple(Arg((k, k, channels), reduced=pixels) for k in sizes),
        tuple(Arg((channels,), reduced=pixels) for _ in sizes),
    )
    options = {"dilations": dilations}
    return ArgSpec("inception_depthwise", name, args, options, max(sizes) ** 2, dtype, (1, 2))


SPECS = (
    spec((1, 1, 1, 1)),
    spec((2, 9, 7, 3)),
    spec((1, 19, 23, 16)),
    spec((1, 8, 12, 64)),
    spec((1, 5, 6, 192), (3, 5), (2, 1)),
    spec((1, 10, 210, 3), (7,), (3,)),  # several parts, see kernels/csrc/inception_depthwise
    spec((1, 16, 16, 16), dtype="bfloat16"),
)

BENCHMARKS = (spec((1, 256, 256, 64)), spec((8, 256, 256, 64)))
