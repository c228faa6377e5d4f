"""Time each part of an optimisation step separately."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from benchmarks.harness.machine import is_on_gpu
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
from s3net_kernels.testing import Timing, make_timer, summarise, take_turns

__all__ = ["time_parts"]


def time_parts(size: int, channels: int, repeats: int) -> dict[str, Timing]:
    """Time forward and backward of every part on one image, with the best implementations.

    On a GPU, the XLA implementations are timed too. Times are in seconds.
    """
    candidates = {
        name: _build_timer(function, arguments)
        for name, (function, arguments) in _build_parts(size, channels, None).items()
    }
    if is_on_gpu():
        for name, (function, arguments) in _build_parts(size, channels, "xla").items():
            candidates[f"{name}, XLA only"] = _build_timer(function, arguments)
    seconds = take_turns(candidates, repeats=repeats)
    return {name: summarise(values) for name, values in seconds.items()}


def _build_timer(function: Callable[..., Array], arguments: tuple) -> Callable[[], float]:
    def scalar(arguments, weight):
        return jnp.vdot(function(*arguments), weight)

    shape = jax.eval_shape(function, *arguments).shape
    weight = jnp.asarray(np.random.default_rng(9).standard_normal(shape, np.float32))
    compiled = jax.jit(jax.value_and_grad(scalar)).lower(arguments, weight).compile()
    return make_timer(lambda: compiled(arguments, weight), jax.block_until_ready)


def _build_parts(
    size: int, c: int, implementation: str | None = None
) -> dict[str, tuple[Callable[..., Array], tuple]]:
    random = np.random.default_rng(0)

    def normal(*shape: int) -> Array:
        return jnp.asarray(random.standard_normal(shape, np.float32))

    x = normal(1, size, size, c)
    kernels = tuple(normal(k, k, c) for k in (3, 5, 7))
    biases = tuple(normal(c) for _ in kernels)
    offset, mask = normal(1, size, size, 18), normal(1, size, size, 9)
    matrix = jnp.array([[0.9, 0.2, 3.0], [-0.2, 0.9, -5.0]])

    def build_part(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
        return functools.partial(function, implementation=implementation, **options)

    def run_gated(x: Array, local: Array, mix: Array, *w: Array) -> Array:
        run = build_part(gated_inception, dilations=(1, 2, 3))
        return run(x, local, biases[0], w, biases, mix, biases[0], x)

    def cross_entropy(x: Array) -> Array:
        return build_part(softmax_losses)(x).cross_entropy[None]

    def edges(x: Array) -> Array:
        return jnp.stack(build_part(softmax_losses, spatial=True)(x)[:2])

    products = {"1×1 convolution, XLA's product alone": (jnp.matmul, (x, normal(c, c)))}
    return {
        "depthwise 5×5": (build_part(depthwise_conv2d), (x, normal(5, 5, c), normal(c))),
        "gated inception": (run_gated, (x, normal(5, 5, c), normal(3 * c, c), *kernels)),
        "deformable 3×3": (build_part(deform_conv2d), (x, offset, mask, normal(3, 3, c, c))),
        "affine warp": (lambda x: build_part(affine_warp, boundary="edge")(x, matrix), (x,)),
        "3×3 convolution to offsets and mask": (
            build_part(conv2d),
            (x, normal(3, 3, c, 27), normal(27)),
        ),
        "1×1 convolution": (build_part(linear), (x, normal(c, c), normal(c))),
        **({} if implementation else products),
        "1×1 convolution and GELU": (
            build_part(linear, activation="gelu"),
            (x, normal(c, c), normal(c)),
        ),
        "batch normalisation": (build_part(batch_norm), (x, normal(c), normal(c))),
        "cross entropy": (cross_entropy, (x,)),
        "cross entropy and soft spatial loss": (edges, (x,)),
    }
