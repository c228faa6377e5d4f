"""Depthwise convolution on NVIDIA GPUs, by Pallas kernels."""

from __future__ import annotations

from jax import Array

from s3net_kernels import _pallas
from s3net_kernels._pallas import add_group_axis, fold_images, unavailable
from s3net_kernels.depthwise_conv2d import pallas_kernels as kernels
from s3net_kernels.depthwise_conv2d.gradient import make_differentiable
from s3net_kernels.operands import DepthwiseConv2d

__all__ = ["correlate", "depthwise_conv2d", "supports", "unavailable", "weight_and_bias_grad"]

MOST_TAPS = 15
"""Maximum side of a kernel, because its rows are held in registers."""


def supports(o: DepthwiseConv2d) -> str | None:
    """Decline float64, empty arrays and very large kernels."""
    kh, kw = o.w.shape[:2]
    if max(kh, kw) > MOST_TAPS:
        return f"it supports kernels of up to {MOST_TAPS}×{MOST_TAPS}, not {kh}×{kw}"
    return _pallas.supports(o)


def depthwise_conv2d(o: DepthwiseConv2d) -> Array:
    """See ``api.depthwise_conv2d``."""
    return _convolve(o.x, o.w, o.b, o.dilation)


def correlate(
    x: Array, w: Array, b: Array | None, dilation: int, plus: Array | None = None
) -> Array:
    """Convolve by a kernel and add another array; this function has no gradient."""

    def run(_: int, x: Array, w: Array, b: Array | None, plus: Array | None) -> Array:
        return kernels.correlate(x, w, b, dilation=dilation, plus=plus)

    args = (x, w[None], add_group_axis(b), plus)
    return fold_images(run, 1, (True, False, False, True), *args)


def weight_and_bias_grad(
    x: Array, g: Array, size: tuple[int, ...], dilation: int
) -> tuple[Array, Array]:
    """Compute the float32 gradients of kernel and bias by a kernel; they have no gradient."""

    def run(groups: int, x: Array, g: Array) -> tuple[Array, Array]:
        return kernels.weight_grad(groups, x, g, size=(size[0], size[1]), dilation=dilation)

    dw, db = fold_images(run, 1, (True, True), x, g)
    return dw[0], db[0]


def _correlate(x: Array, w: Array, b: Array | None, dilation: int) -> Array:
    return correlate(x, w, b, dilation)


def _weight_grad(x: Array, g: Array, size: tuple[int, ...], dilation: int) -> Array:
    return weight_and_bias_grad(x, g, size, dilation)[0]


_convolve, _ = make_differentiable(_correlate, _weight_grad)
