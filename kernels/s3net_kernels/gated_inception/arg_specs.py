"""Calls of ``gated_inception`` for tests and benchmarks."""

from __future__ import annotations

from s3net_kernels.testing import Arg, ArgSpec

__all__ = ["BENCHMARKS", "SPECS", "spec"]


def spec(
    shape: tuple[int, int, int, int],
    local: int | tuple[int, ...] = 5,
    sizes: tuple[int, ...] = (3, 5, 7),
    dilations: tuple[int, ...] = (1, 2, 3),
    residual: bool = False,
    dtype: str = "float32",
) -> ArgSpec:
    """Describe a call on x of ``shape`` with square kernels; a tuple ``local`` is one a branch."""
    locals_ = local if isinstance(local, tuple) else (local,)
    name = "x".join(map(str, shape))
    name += f" k{'+'.join(map(str, locals_))}-{'-'.join(map(str, sizes))}"
    name += f" d{'-'.join(map(str, dilations))}" + (" residual" if residual else "")
    name += "" if dtype == "float32" else f" {dtype}"
    pixels, channels = shape[0] * shape[1] * shape[2], shape[3]
    # Errors of this chain of products grow with the lengths of all its sums.
    inner = max(locals_) ** 2 * max(sizes) ** 2 * len(sizes) * channels
    kernels = tuple(Arg((k, k, channels), reduced=pixels * inner) for k in locals_)
    shifts = tuple(Arg((channels,), reduced=pixels * inner) for _ in locals_)
    args = (
        Arg(shape, reduced=inner),
        kernels if isinstance(local, tuple) else kernels[0],
        shifts if isinstance(local, tuple) else shifts[0],
        tuple(Arg((k, k, channels), reduced=pixels * inner) for k in sizes),
        tuple(Arg((channels,), reduced=pixels * inner) for _ in sizes),
        Arg((len(sizes) * channels, channels), reduced=pixels),
        Arg((channels,), reduced=pixels),
        Arg(shape) if residual else None,
    )
    options = {"dilations": dilations, "precision": None}
    return ArgSpec("gated_inception", name, args, options, inner, dtype, (1, 2, 3, 4, 5, 6))


SPECS = (
    spec((1, 1, 1, 1)),
    spec((2, 9, 7, 3), residual=True),
    spec((1, 19, 23, 16), 3),
    spec((1, 40, 12, 64), residual=True),
    spec((1, 5, 6, 20), 1, (3, 5), (2, 1)),
    spec((1, 34, 210, 3), 3, (7,), (3,)),  # several parts, see kernels/csrc/inception_depthwise
    spec((2, 9, 7, 3), (1, 3, 5), residual=True),
    spec((1, 11, 13, 20), (3, 1), (3, 5), (2, 1)),
    spec((1, 16, 16, 16), dtype="bfloat16"),
    spec((1, 16, 16, 16), (1, 3, 5), dtype="bfloat16"),
)

BENCHMARKS = (
    spec((1, 256, 256, 64)),
    spec((8, 256, 256, 64)),
    spec((1, 256, 256, 64), (1, 3, 5)),  # the order of the paper's text
)
