"""Arrays to call a tunable kernel with, like those of a fit, for a problem."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from s3net_kernels._tuning import Problem
from s3net_kernels.deform_conv2d.pallas_input_grad import reach_of
from s3net_kernels.deform_conv2d.pallas_planes import Planes, to_planes


def normal(*shape: int, dtype: Any = jnp.float32, seed: int = 0) -> Array:
    return jax.random.normal(jax.random.key(seed), shape, jnp.float32).astype(dtype)


def _uniform(*shape: int, seed: int = 0) -> Array:
    return jax.random.uniform(jax.random.key(seed), shape, jnp.float32)


def image(p: Problem, seed: int = 0) -> Array:
    return normal(p.images, p.height, p.width, p.channels, dtype=p.dtype, seed=seed)


def deform_planes(p: Problem) -> Planes:
    """Offsets and masks like those of a fit: offsets in [0, 1)."""
    taps = p.size[0] * p.size[1]
    maps = (p.images, p.height, p.width)
    return to_planes(*(_uniform(*maps, count, seed=count) for count in (2 * taps, taps)))


def deformed(p: Problem) -> tuple[Array, ...]:
    return (image(p), deform_planes(p).values, weights(p), features(p))


def deformed_with_reach(p: Problem) -> tuple[Array, ...]:
    return (*deformed(p), *reach_of(deform_planes(p)))


def features(p: Problem, seed: int = 4) -> Array:
    """An array like the result: a cotangent, or what a gate multiplies."""
    return normal(p.images, p.height, p.width, p.features, dtype=p.dtype, seed=seed)


def weights(p: Problem) -> Array:
    fan_in = p.size[0] * p.size[1] * p.channels
    return normal(p.images, *p.size, p.channels, p.features, seed=3) / fan_in**0.5


def rows(images: Array) -> Array:
    """(N, H, W, C) as (N, H·W, C)."""
    return images.reshape(images.shape[0], -1, images.shape[3])


def bias(p: Problem) -> Array:
    return normal(p.images, p.features, seed=5)


def linear(p: Problem) -> tuple[Array, ...]:
    return rows(image(p)), weights(p)[:, 0, 0], bias(p)


def linear_backward(p: Problem) -> tuple[Array, ...]:
    return *linear(p), rows(features(p))


def gated(p: Problem) -> tuple[Array, ...]:
    """The gate's input, the branches, weights, bias, and the residual or the cotangent."""
    return rows(features(p)), *linear(p), rows(features(p, 1))


def norm_backward(p: Problem) -> tuple[Array, ...]:
    mean = normal(p.images, p.channels, seed=5)
    return rows(image(p)), rows(image(p, 1)), mean


def logsumexp(p: Problem) -> tuple[Array, Array]:
    z = image(p)
    return z, jax.nn.logsumexp(z.astype(jnp.float32), -1)


def losses(p: Problem) -> tuple[Array, ...]:
    """Logits, their logarithmic sums, labels, codes of edges and factors of both losses."""
    z, lse = logsumexp(p)
    codes = jax.random.randint(jax.random.key(1), z.shape, -62, 63, jnp.int8)
    return z, lse, jnp.argmax(z, -1).astype(jnp.int32), codes, jnp.ones((p.images, 2))


def coords(p: Problem) -> Array:
    """A turned and zoomed grid, as the affine path of the network samples."""
    y, x = jnp.meshgrid(jnp.arange(p.height), jnp.arange(p.width), indexing="ij")
    turned = jnp.stack((0.9 * y + 0.2 * x, -0.2 * y + 0.9 * x), -1).astype(jnp.float32)
    return jnp.broadcast_to(turned, (p.images, *turned.shape))


def gathered(p: Problem) -> tuple[Array, ...]:
    places = coords(p).reshape(p.images, -1, 2)
    return places[..., 0], places[..., 1], image(p).reshape(p.images, -1, p.channels)
