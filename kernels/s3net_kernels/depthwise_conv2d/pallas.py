"""Depthwise convolution on NVIDIA GPUs, by Pallas kernels."""

from __future__ import annotations

from jax import Array

from s3net_kernels._batching import fold_images
from s3net_kernels._pallas import decline, unavailable
from s3net_kernels.depthwise_conv2d import pallas_kernels as kernels
from s3net_kernels.depthwise_conv2d.gradient import differentiable

__all__ = ["correlate", "depthwise_conv2d", "supports", "unavailable", "weight_and_bias_grad"]

MOST_TAPS = 15
"""Largest side of a kernel: its rows are held in registers."""


def supports(x: Array, w: Array, b: Array | None, *, dilation: int) -> str | None:
    """Declines float64, empty arrays and very large kernels."""
    if max(w.shape[:2]) > MOST_TAPS:
        return f"it takes kernels of up to {MOST_TAPS}×{MOST_TAPS}, not {w.shape[0]}×{w.shape[1]}"
    return decline(x, w, b)


def depthwise_conv2d(x: Array, w: Array, b: Array | None, *, dilation: int) -> Array:
    """See ``api.depthwise_conv2d``."""
    return _convolution(x, w, b, dilation)


def correlate(
    x: Array, w: Array, b: Array | None, dilation: int, plus: Array | None = None
) -> Array:
    """The convolution, by a kernel, plus another array; it has no gradient."""

    def run(_: int, x: Array, w: Array, *rest: Array) -> Array:
        bias, added = (rest[0] if b is not None else None), (rest[-1] if plus is not None else None)
        return kernels.correlate(x, w, bias, dilation=dilation, plus=added)

    args = [(x, True), (w[None], False)]
    args += [] if b is None else [(b[None], False)]
    args += [] if plus is None else [(plus, True)]
    return fold_images(run, 1, tuple(i for _, i in args), *(a for a, _ in args))


def weight_and_bias_grad(
    x: Array, g: Array, size: tuple[int, ...], dilation: int
) -> tuple[Array, Array]:
    """Gradients of kernel and bias, float32, by a kernel; they have no gradient."""

    def run(groups: int, x: Array, g: Array) -> tuple[Array, Array]:
        return kernels.weight_grad(groups, x, g, size=(size[0], size[1]), dilation=dilation)

    dw, db = fold_images(run, 1, (True, True), x, g)
    return dw[0], db[0]


def _correlate(x: Array, w: Array, b: Array | None, dilation: int) -> Array:
    return correlate(x, w, b, dilation)


def _weight_grad(x: Array, g: Array, size: tuple[int, ...], dilation: int) -> Array:
    return weight_and_bias_grad(x, g, size, dilation)[0]


_convolution, _ = differentiable(_correlate, _weight_grad)
