"""The parts of an optimisation step, each alone: where its time goes."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from benchmarks.harness import Timing, interleave, summarise
from s3net_jax.losses import cross_entropy, pseudo_label, spatial_consistency
from s3net_kernels import (
    affine_warp,
    batch_norm,
    deform_conv2d,
    depthwise_conv2d,
    inception_depthwise,
)

__all__ = ["part_timings"]


def part_timings(size: int, channels: int, repeats: int) -> dict[str, Timing]:
    """Seconds of forward and backward of every part on one image, best implementations."""
    candidates = {
        name: _forward_and_backward(function, arguments)
        for name, (function, arguments) in _parts(size, channels).items()
    }
    seconds = interleave(candidates, repeats=repeats)
    return {name: summarise(values) for name, values in seconds.items()}


def _forward_and_backward(function: Callable[..., Array], arguments: tuple) -> Callable[[], object]:
    def scalar(arguments, weight):
        return jnp.vdot(function(*arguments), weight)

    weight = jax.random.normal(jax.random.key(9), jax.eval_shape(function, *arguments).shape)
    compiled = jax.jit(jax.value_and_grad(scalar)).lower(arguments, weight).compile()
    return lambda: jax.block_until_ready(compiled(arguments, weight))


def _parts(size: int, c: int) -> dict[str, tuple[Callable[..., Array], tuple]]:
    keys = iter(jax.random.split(jax.random.key(0), 40))

    def normal(*shape: int) -> Array:
        return jax.random.normal(next(keys), shape)

    x = normal(1, size, size, c)
    kernels = tuple(normal(k, k, c) for k in (3, 5, 7))
    biases = tuple(normal(c) for _ in kernels)
    offset, mask = normal(1, size, size, 18), normal(1, size, size, 9)
    matrix = jnp.array([[0.9, 0.2, 3.0], [-0.2, 0.9, -5.0]])

    def inception(x: Array, *w: Array) -> Array:
        return inception_depthwise(x, w, biases, dilations=(1, 2, 3))

    return {
        "depthwise 5×5": (depthwise_conv2d, (x, normal(5, 5, c), normal(c))),
        "depthwise 3, 5, 7, dilated 1, 2, 3": (inception, (x, *kernels)),
        "deformable 3×3": (deform_conv2d, (x, offset, mask, normal(3, 3, c, c))),
        "affine warp": (lambda x: affine_warp(x, matrix, boundary="edge"), (x,)),
        "1×1 convolution C to C": (jnp.matmul, (x, normal(c, c))),
        "1×1 convolution 3C to C": (jnp.matmul, (normal(1, size, size, 3 * c), normal(3 * c, c))),
        "GELU": (lambda x: jax.nn.gelu(x, approximate=False), (x,)),
        "batch normalisation": (batch_norm, (x, normal(c), normal(c))),
        "cross entropy": (lambda x: cross_entropy(x, pseudo_label(x))[None], (x,)),
        "soft spatial loss": (lambda x: spatial_consistency(x)[None], (x,)),
    }
