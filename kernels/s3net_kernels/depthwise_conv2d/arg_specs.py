"""Calls of ``depthwise_conv2d`` for tests and benchmarks."""

from __future__ import annotations

from s3net_kernels.testing import Arg, ArgSpec

__all__ = ["BENCHMARKS", "SPECS", "spec"]


def spec(
    shape: tuple[int, int, int, int],
    size: tuple[int, int],
    dilation: int = 1,
    bias: bool = True,
    dtype: str = "float32",
) -> ArgSpec:
    """Describe a call on x of ``shape`` with a kernel of ``size``."""
    name = "x".join(map(str, shape)) + f" k{size[0]}x{size[1]} d{dilation}"
    name += ("" if bias else " no bias") + ("" if dtype == "float32" else f" {dtype}")
    taps, pixels, channels = size[0] * size[1], shape[0] * shape[1] * shape[2], shape[3]
    args = (
        Arg(shape, reduced=taps),
        Arg((*size, channels), reduced=pixels),
        Arg((channels,), reduced=pixels) if bias else None,
    )
    return ArgSpec("depthwise_conv2d", name, args, {"dilation": dilation}, taps, dtype, (1, 2))


SPECS = (
    spec((1, 1, 1, 1), (3, 3)),
    spec((1, 1, 1, 3), (5, 5), 2, bias=False),
    spec((2, 5, 7, 3), (7, 7), 3),
    spec((1, 9, 4, 16), (3, 5), 2, bias=False),
    spec((2, 17, 13, 64), (5, 5)),
    spec((1, 6, 33, 192), (3, 3)),
    spec((1, 12, 20, 16), (7, 7), 3),
    spec((3, 8, 8, 5), (1, 1)),
    spec((1, 3, 70, 3), (1, 9), 4),
    spec((1, 16, 16, 64), (5, 5), 2, dtype="bfloat16"),
)

BENCHMARKS = (
    spec((1, 256, 256, 64), (3, 3)),
    spec((1, 256, 256, 64), (5, 5)),
    spec((1, 256, 256, 64), (5, 5), 2),
    spec((1, 256, 256, 64), (7, 7), 3),
    spec((8, 256, 256, 64), (5, 5)),
)
