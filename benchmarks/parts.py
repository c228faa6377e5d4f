"""The parts of an optimisation step, each alone: where its time goes."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from benchmarks.harness import Timing, interleave, summarise
from s3net_kernels import (
    affine_warp,
    batch_norm,
    conv2d,
    deform_conv2d,
    depthwise_conv2d,
    gated_inception,
    linear,
    softmax_losses,
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

    shape = jax.eval_shape(function, *arguments).shape
    weight = jnp.asarray(np.random.default_rng(9).standard_normal(shape, np.float32))
    compiled = jax.jit(jax.value_and_grad(scalar)).lower(arguments, weight).compile()
    return lambda: jax.block_until_ready(compiled(arguments, weight))


def _parts(size: int, c: int) -> dict[str, tuple[Callable[..., Array], tuple]]:
    random = np.random.default_rng(0)

    def normal(*shape: int) -> Array:
        return jnp.asarray(random.standard_normal(shape, np.float32))

    x = normal(1, size, size, c)
    kernels = tuple(normal(k, k, c) for k in (3, 5, 7))
    biases = tuple(normal(c) for _ in kernels)
    offset, mask = normal(1, size, size, 18), normal(1, size, size, 9)
    matrix = jnp.array([[0.9, 0.2, 3.0], [-0.2, 0.9, -5.0]])

    def gated(x: Array, local: Array, mix: Array, *w: Array) -> Array:
        return gated_inception(
            x, local, biases[0], w, biases, mix, biases[0], x, dilations=(1, 2, 3)
        )

    def edges(x: Array) -> Array:
        return jnp.stack(softmax_losses(x, spatial=True)[:2])

    return {
        "depthwise 5×5": (depthwise_conv2d, (x, normal(5, 5, c), normal(c))),
        "gated inception": (gated, (x, normal(5, 5, c), normal(3 * c, c), *kernels)),
        "deformable 3×3": (deform_conv2d, (x, offset, mask, normal(3, 3, c, c))),
        "affine warp": (lambda x: affine_warp(x, matrix, boundary="edge"), (x,)),
        "3×3 convolution to offsets and mask": (conv2d, (x, normal(3, 3, c, 27), normal(27))),
        "1×1 convolution": (linear, (x, normal(c, c), normal(c))),
        "1×1 convolution, XLA's product alone": (jnp.matmul, (x, normal(c, c))),
        "1×1 convolution and GELU": (
            lambda x, w, b: linear(x, w, b, activation="gelu"),
            (x, normal(c, c), normal(c)),
        ),
        "batch normalisation": (batch_norm, (x, normal(c), normal(c))),
        "cross entropy": (lambda x: softmax_losses(x).cross_entropy[None], (x,)),
        "cross entropy and soft spatial loss": (edges, (x,)),
    }
