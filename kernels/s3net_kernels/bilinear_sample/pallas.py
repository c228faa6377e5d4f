"""Bilinear sampling on NVIDIA GPUs, by Pallas kernels."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from s3net_kernels._batching import fold_images
from s3net_kernels._config import settings
from s3net_kernels._gather_sum import gather_sum
from s3net_kernels._gradient import with_gradient_of
from s3net_kernels._pallas import decline, unavailable
from s3net_kernels._residuals import owning
from s3net_kernels.bilinear_sample import pallas_kernels as kernels
from s3net_kernels.bilinear_sample import xla

__all__ = ["bilinear_sample", "supports", "unavailable"]


def supports(x: Array, coords: Array, *, boundary: str) -> str | None:
    """Declines float64 and empty arrays."""
    return decline(x, coords)


def bilinear_sample(x: Array, coords: Array, *, boundary: str) -> Array:
    """See ``api.bilinear_sample``."""
    return _sample(x, coords.astype(jnp.float32), boundary)


def _value(x: Array, coords: Array, boundary: str) -> Array:
    def run(_: int, x: Array, coords: Array) -> Array:
        return kernels.forward(x, coords, boundary=boundary)

    return fold_images(run, 1, (True, True), x, coords)


_sample = jax.custom_vjp(_value, nondiff_argnums=(2,))


def _forward(x: Array, coords: Array, boundary: str):
    return _sample(x, coords, boundary), (x, coords)


def _backward(boundary: str, saved: tuple[Array, Array], g: Array):
    def run(_: int, x: Array, coords: Array, g: Array) -> tuple[Array, Array]:
        scatter = not settings().deterministic
        dx, dcoords = kernels.backward(x, coords, g, boundary=boundary, scatter=scatter)
        if dx is None:
            images, channels = x.shape[0], x.shape[3]
            y, z = (coords[..., axis].reshape(images, -1) for axis in (0, 1))
            values = g.reshape(images, -1, channels)
            dx = gather_sum(y, z, None, values, (x.shape[1], x.shape[2]), boundary=boundary)
        return dx.astype(x.dtype), dcoords

    def kernel(*args: Array) -> tuple[Array, Array]:
        return fold_images(run, 1, (True, True, True), *args)

    def plain(x: Array, coords: Array, g: Array):
        return jax.vjp(lambda *a: xla.bilinear_sample(*a, boundary=boundary), x, coords)[1](g)

    return with_gradient_of(plain, kernel)(*saved, g)


_sample.defvjp(owning(_forward), _backward)
