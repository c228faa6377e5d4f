"""Calls of ``deform_conv2d`` for tests and benchmarks."""

from __future__ import annotations

from s3net_kernels.testing import Arg, ArgSpec

__all__ = ["BENCHMARKS", "SPECS", "spec"]


def spec(
    shape: tuple[int, int, int, int],
    features: int,
    size: tuple[int, int] = (3, 3),
    bias: bool = False,
    dtype: str = "float32",
    near: bool = False,
) -> ArgSpec:
    """Describe a call on x of ``shape`` with ``features`` output channels.

    If ``near``, nearly all offsets are small and kernels may gather dx; otherwise they scatter it.
    """
    name = "x".join(map(str, shape)) + f" to {features} k{size[0]}x{size[1]}"
    name += " bias" * bias + " near" * near + ("" if dtype == "float32" else f" {dtype}")
    taps, channels, image = size[0] * size[1], shape[3], shape[:3]
    pixels = shape[0] * shape[1] * shape[2]
    args = (
        Arg(shape, reduced=4 * taps * features),
        Arg((*image, 2 * taps), "near" if near else "offset", channels * features),
        Arg((*image, taps), "mask", channels * features),
        Arg((*size, channels, features), reduced=pixels),
        Arg((features,), reduced=pixels) if bias else None,
    )
    return ArgSpec("deform_conv2d", name, args, {}, taps * channels, dtype, (3, 4))


SPECS = (
    spec((1, 1, 1, 1), 1),
    spec((2, 5, 7, 3), 4, bias=True),
    spec((1, 9, 4, 16), 3, (1, 5)),
    spec((1, 12, 11, 64), 64),
    spec((2, 4, 6, 192), 16, bias=True),
    spec((1, 8, 6, 5), 7, (5, 3)),
    spec((3, 6, 5, 3), 2, (1, 1), bias=True),
    spec((1, 10, 12, 16), 16, dtype="bfloat16"),
    spec((2, 9, 11, 20), 12, near=True),
    spec((1, 13, 10, 70), 66, bias=True, near=True),
)

BENCHMARKS = (spec((1, 256, 256, 64), 64), spec((8, 256, 256, 64), 64))
