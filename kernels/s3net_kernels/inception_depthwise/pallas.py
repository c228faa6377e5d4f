"""Inception of depthwise convolutions on NVIDIA GPUs.

One kernel per branch writes its channels of the result in place, which avoids a concatenation. In
the backward pass, each branch reads its channels of the cotangent in place and adds to dx.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from s3net_kernels._gradient import use_gradient
from s3net_kernels._pallas import fold_images, unavailable
from s3net_kernels._residuals import keep_copies
from s3net_kernels.depthwise_conv2d import pallas as depthwise
from s3net_kernels.depthwise_conv2d.pallas_kernels import correlate, weight_grad
from s3net_kernels.inception_depthwise import xla
from s3net_kernels.operands import InceptionDepthwise

__all__ = ["compute_gradients", "convolve", "inception_depthwise", "supports", "unavailable"]


def supports(o: InceptionDepthwise) -> str | None:
    """Decline what the depthwise convolution of any branch declines."""
    return next(filter(None, map(depthwise.supports, o.branches())), None)


def convolve(o: InceptionDepthwise) -> Array:
    """Compute the convolutions with kernels; this function has no gradient."""
    count = len(o.dilations)

    def run(_: int, x: Array, *parameters: Array) -> Array:
        channels = x.shape[3]
        shape = (*x.shape[:3], count * channels)
        result: Array | jax.ShapeDtypeStruct = jax.ShapeDtypeStruct(shape, x.dtype)
        for r, dilation in enumerate(o.dilations):
            w, b = parameters[r], parameters[count + r]
            result = correlate(x, w, b, dilation=dilation, into=(result, r * channels))
        assert isinstance(result, Array)
        return result

    parameters = [p[None] for p in (*o.weights, *o.biases)]
    return fold_images(run, 1, (True, *[False] * len(parameters)), o.x, *parameters)


def compute_gradients(o: InceptionDepthwise, g: Array) -> InceptionDepthwise:
    """Compute the gradients of all operands with kernels; the parameters' are float32."""

    def run_dx(_: int, g: Array, *flipped: Array) -> Array:
        channels, total = g.shape[3] // len(o.dilations), None
        for r, (w, dilation) in enumerate(zip(flipped, o.dilations, strict=True)):
            # Between branches the sum is rounded to the dtype of g, as in autograd: a float32 sum
            # would double the memory traffic of 16-bit images.
            total = correlate(g, w, None, dilation=dilation, first=r * channels, plus=total)
        assert total is not None
        return total

    def run_dw(groups: int, x: Array, g: Array) -> list[tuple[Array, Array]]:
        sizes = [(w.shape[0], w.shape[1]) for w in o.weights]
        return [
            weight_grad(groups, x, g, size=size, dilation=d, first=r * x.shape[3])
            for r, (size, d) in enumerate(zip(sizes, o.dilations, strict=True))
        ]

    flipped = [w[None, ::-1, ::-1] for w in o.weights]
    dx = fold_images(run_dx, 1, (True, *[False] * len(flipped)), g, *flipped)
    sums = fold_images(run_dw, 1, (True, True), o.x, g)
    weights, biases = (tuple(both[n][0] for both in sums) for n in (0, 1))
    return o.replace(x=dx, weights=weights, biases=biases)


def _compute_plain_gradients(o: InceptionDepthwise, g: Array) -> InceptionDepthwise:
    """Compute the same gradients in plain JAX, which can be differentiated again."""
    zeros = tuple(jnp.zeros(w.shape[2], jnp.float32) for w in o.weights)
    (found,) = jax.vjp(xla.inception_depthwise, o.replace(biases=zeros))[1](g)
    return found.replace(weights=tuple(dw.astype(jnp.float32) for dw in found.weights))


@jax.custom_vjp
def inception_depthwise(o: InceptionDepthwise) -> Array:
    """See ``api.inception_depthwise``."""
    return convolve(o)


def _forward(o: InceptionDepthwise):
    # Only the dtype of the biases is needed, which cannot be a residual: keep empty slices.
    return inception_depthwise(o), o.replace(biases=tuple(b[:0] for b in o.biases))


def _backward(o: InceptionDepthwise, g: Array):
    found = use_gradient(_compute_plain_gradients, compute_gradients)(o, g)
    return (jax.tree.map(lambda gradient, operand: gradient.astype(operand.dtype), found, o),)


inception_depthwise.defvjp(keep_copies(_forward), _backward)
