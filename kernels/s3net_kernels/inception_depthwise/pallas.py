"""Inception of depthwise convolutions on NVIDIA GPUs.

A kernel for each branch, which writes its channels of the one result in place: nothing is
concatenated. Backward, each branch reads its channels of the cotangent in place and adds to dx.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from s3net_kernels._batching import fold_images
from s3net_kernels._gradient import with_gradient_of
from s3net_kernels._pallas import unavailable
from s3net_kernels._residuals import owning
from s3net_kernels.depthwise_conv2d import pallas as depthwise
from s3net_kernels.depthwise_conv2d.pallas_kernels import correlate, weight_grad
from s3net_kernels.inception_depthwise import xla

__all__ = ["gradients", "inception_depthwise", "supports", "unavailable", "value"]

Arrays = tuple[Array, ...]


def supports(
    x: Array, weights: Arrays, biases: Arrays, *, dilations: tuple[int, ...]
) -> str | None:
    """Declines what the depthwise convolution of any branch declines."""
    branches = zip(weights, biases, dilations, strict=True)
    reasons = (depthwise.supports(x, w, b, dilation=d) for w, b, d in branches)
    return next((reason for reason in reasons if reason is not None), None)


def inception_depthwise(
    x: Array, weights: Arrays, biases: Arrays, *, dilations: tuple[int, ...]
) -> Array:
    """See ``api.inception_depthwise``."""
    return _inception(x, weights, biases, dilations)


def value(x: Array, weights: Arrays, biases: Arrays, dilations: tuple[int, ...]) -> Array:
    """The convolutions, by kernels; it has no gradient."""

    def run(_: int, x: Array, *parameters: Array) -> Array:
        channels = x.shape[3]
        shape = (*x.shape[:3], len(dilations) * channels)
        result: Array | jax.ShapeDtypeStruct = jax.ShapeDtypeStruct(shape, x.dtype)
        for r, dilation in enumerate(dilations):
            w, b = parameters[r], parameters[len(dilations) + r]
            result = correlate(x, w, b, dilation=dilation, into=(result, r * channels))
        assert isinstance(result, Array)
        return result

    parameters = [p[None] for p in (*weights, *biases)]
    return fold_images(run, 1, (True, *[False] * len(parameters)), x, *parameters)


def gradients(dilations: tuple[int, ...], x: Array, weights: Arrays, g: Array):
    """(dx, dweights, dbiases), by kernels; the last two float32."""

    def run_dx(_: int, g: Array, *flipped: Array) -> Array:
        channels, total = g.shape[3] // len(dilations), None
        for r, (w, dilation) in enumerate(zip(flipped, dilations, strict=True)):
            # Between branches the sum is rounded to the dtype of g, as autograd's is: with 16
            # bits, a sum in float32 would be twice as much to read and write.
            total = correlate(g, w, None, dilation=dilation, first=r * channels, plus=total)
        assert total is not None
        return total

    def run_dw(groups: int, x: Array, g: Array) -> list[tuple[Array, Array]]:
        sizes = [(w.shape[0], w.shape[1]) for w in weights]
        return [
            weight_grad(groups, x, g, size=size, dilation=d, first=r * x.shape[3])
            for r, (size, d) in enumerate(zip(sizes, dilations, strict=True))
        ]

    flipped = [w[None, ::-1, ::-1] for w in weights]
    dx = fold_images(run_dx, 1, (True, *[False] * len(flipped)), g, *flipped)
    sums = fold_images(run_dw, 1, (True, True), x, g)
    return dx, tuple(dw[0] for dw, _ in sums), tuple(db[0] for _, db in sums)


def _plain_gradients(dilations: tuple[int, ...], x: Array, weights: Arrays, g: Array):
    """The same in plain JAX, to be differentiated again."""
    zeros = tuple(jnp.zeros(w.shape[2], jnp.float32) for w in weights)

    def plain(x: Array, weights: Arrays, biases: Arrays) -> Array:
        return xla.inception_depthwise(x, weights, biases, dilations=dilations)

    dx, dweights, dbiases = jax.vjp(plain, x, weights, zeros)[1](g)
    return dx, tuple(dw.astype(jnp.float32) for dw in dweights), dbiases


_inception = jax.custom_vjp(value, nondiff_argnums=(3,))


def _forward(x: Array, weights: Arrays, biases: Arrays, dilations: tuple[int, ...]):
    return _inception(x, weights, biases, dilations), (x, weights, [b[:0] for b in biases])


def _backward(dilations: tuple[int, ...], saved: Any, g: Array):
    x, weights, biases = saved
    run = with_gradient_of(
        lambda *args: _plain_gradients(dilations, *args),
        lambda *args: gradients(dilations, *args),
    )
    dx, dweights, dbiases = run(x, weights, g)
    dweights = tuple(dw.astype(w.dtype) for dw, w in zip(dweights, weights, strict=True))
    return dx, dweights, tuple(db.astype(b.dtype) for db, b in zip(dbiases, biases, strict=True))


_inception.defvjp(owning(_forward), _backward)
