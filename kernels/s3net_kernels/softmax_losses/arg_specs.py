"""Calls of ``softmax_losses`` for tests and benchmarks."""

from __future__ import annotations

from s3net_kernels.testing import Arg, ArgSpec

__all__ = ["BENCHMARKS", "CHECKS", "SHAPES", "SPECS", "spec"]


def spec(shape: tuple[int, int, int, int], spatial: bool = True) -> ArgSpec:
    """Describe pseudo label, cross entropy and, if ``spatial``, edges of logits of ``shape``."""
    pixels = shape[0] * shape[1] * shape[2]
    args = (Arg(shape, reduced=9 * shape[3]),)
    name = "x".join(map(str, shape)) + ("" if spatial else "-cross-entropy")
    return ArgSpec("softmax_losses", name, args, {"spatial": spatial}, pixels * shape[3])


# The results have different kinds, so they have their own tests (test_softmax_losses.py).
SPECS: tuple[ArgSpec, ...] = ()
BENCHMARKS = (spec((1, 256, 256, 64)), spec((8, 256, 256, 64)))

# Only the sums and their gradients; small shapes, as rounding may move |X − Y| across its kink.
CHECKS = tuple(
    spec(shape, spatial)
    for shape in ((2, 5, 7, 3), (1, 33, 9, 16), (3, 32, 3, 21))
    for spatial in (True, False)
)

SHAPES = ((1, 2, 2, 1), (2, 5, 7, 3), (1, 33, 9, 16), (1, 70, 12, 64), (3, 32, 3, 21))
