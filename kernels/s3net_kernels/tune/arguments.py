"""Make arrays to call a tunable kernel with, distributed as in a fit."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from s3net_kernels._pallas import Problem
from s3net_kernels.deform_conv2d.pallas_input_grad import find_reach
from s3net_kernels.deform_conv2d.pallas_planes import Planes, to_planes


def draw_normal(*shape: int, dtype: Any = jnp.float32, seed: int = 0) -> Array:
    return jax.random.normal(jax.random.key(seed), shape, jnp.float32).astype(dtype)


def _draw_uniform(*shape: int, seed: int = 0) -> Array:
    return jax.random.uniform(jax.random.key(seed), shape, jnp.float32)


def make_image(p: Problem, seed: int = 0) -> Array:
    return draw_normal(p.images, p.height, p.width, p.channels, dtype=p.dtype, seed=seed)


def make_deform_planes(p: Problem) -> Planes:
    """Make offsets and masks like those of a fit: offsets in [0, 1)."""
    taps = p.size[0] * p.size[1]
    maps = (p.images, p.height, p.width)
    return to_planes(*(_draw_uniform(*maps, count, seed=count) for count in (2 * taps, taps)))


def make_deform(p: Problem) -> tuple[Array, ...]:
    return (make_image(p), make_deform_planes(p).values, make_weights(p), make_features(p))


def make_deform_with_reach(p: Problem) -> tuple[Array, ...]:
    return (*make_deform(p), *find_reach(make_deform_planes(p)))


def make_features(p: Problem, seed: int = 4) -> Array:
    """Make an array shaped like the result: a cotangent, or the factor of a gate."""
    return draw_normal(p.images, p.height, p.width, p.features, dtype=p.dtype, seed=seed)


def make_weights(p: Problem) -> Array:
    fan_in = p.size[0] * p.size[1] * p.channels
    return draw_normal(p.images, *p.size, p.channels, p.features, seed=3) / fan_in**0.5


def flatten(images: Array) -> Array:
    """Reshape (N, H, W, C) to (N, H·W, C)."""
    return images.reshape(images.shape[0], -1, images.shape[3])


def make_bias(p: Problem) -> Array:
    return draw_normal(p.images, p.features, seed=5)


def make_linear(p: Problem) -> tuple[Array, ...]:
    return flatten(make_image(p)), make_weights(p)[:, 0, 0], make_bias(p)


def make_linear_backward(p: Problem) -> tuple[Array, ...]:
    return *make_linear(p), flatten(make_features(p))


def make_gated(p: Problem) -> tuple[Array, ...]:
    """Make the gate's input, branches, weights, bias, and the residual or cotangent."""
    return flatten(make_features(p)), *make_linear(p), flatten(make_features(p, 1))


def make_norm_backward(p: Problem) -> tuple[Array, ...]:
    mean = draw_normal(p.images, p.channels, seed=5)
    return flatten(make_image(p)), flatten(make_image(p, 1)), mean


def make_logsumexp(p: Problem) -> tuple[Array, Array]:
    z = make_image(p)
    return z, jax.nn.logsumexp(z.astype(jnp.float32), -1)


def make_losses(p: Problem) -> tuple[Array, ...]:
    """Make logits, their log-sums, labels, edge codes and factors of both losses."""
    z, lse = make_logsumexp(p)
    codes = jax.random.randint(jax.random.key(1), z.shape, -62, 63, jnp.int8)
    return z, lse, jnp.argmax(z, -1).astype(jnp.int32), codes, jnp.ones((p.images, 2))


def make_coords(p: Problem) -> Array:
    """Make a rotated and zoomed grid, as the network's affine path samples."""
    y, x = jnp.meshgrid(jnp.arange(p.height), jnp.arange(p.width), indexing="ij")
    turned = jnp.stack((0.9 * y + 0.2 * x, -0.2 * y + 0.9 * x), -1).astype(jnp.float32)
    return jnp.broadcast_to(turned, (p.images, *turned.shape))


def make_gathered(p: Problem) -> tuple[Array, ...]:
    places = make_coords(p).reshape(p.images, -1, 2)
    return places[..., 0], places[..., 1], make_image(p).reshape(p.images, -1, p.channels)
