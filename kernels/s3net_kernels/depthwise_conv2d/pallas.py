"""Depthwise convolution on NVIDIA GPUs, by Pallas kernels."""

from __future__ import annotations

from jax import Array

from s3net_kernels._batching import fold_images
from s3net_kernels._pallas import decline, unavailable
from s3net_kernels.depthwise_conv2d import pallas_kernels as kernels
from s3net_kernels.depthwise_conv2d.gradient import differentiable

__all__ = ["depthwise_conv2d", "supports", "unavailable"]

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


def _correlate(x: Array, w: Array, b: Array | None, dilation: int) -> Array:
    def run(_: int, x: Array, w: Array, b: Array | None = None) -> Array:
        return kernels.correlate(x, w, b, dilation=dilation)

    parameters = [w[None], *([] if b is None else [b[None]])]
    return fold_images(run, 1, (True, *[False] * len(parameters)), x, *parameters)


def _weight_grad(x: Array, g: Array, size: tuple[int, ...], dilation: int) -> Array:
    def run(groups: int, x: Array, g: Array) -> Array:
        return kernels.weight_grad(groups, x, g, size=(size[0], size[1]), dilation=dilation)[0]

    return fold_images(run, 1, (True, True), x, g)[0]


_convolution, _ = differentiable(_correlate, _weight_grad)
