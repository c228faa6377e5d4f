"""Bilinear sampling on NVIDIA GPUs, by Pallas kernels."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from s3net_kernels._config import settings
from s3net_kernels._gradient import use_gradient
from s3net_kernels._pallas import fold_images, gather_sum, supports, unavailable
from s3net_kernels._residuals import keep_copies
from s3net_kernels.bilinear_sample import pallas_kernels as kernels
from s3net_kernels.bilinear_sample import xla
from s3net_kernels.operands import BilinearSample

__all__ = ["bilinear_sample", "supports", "unavailable"]


def bilinear_sample(o: BilinearSample) -> Array:
    """See ``api.bilinear_sample``."""
    return _sample(o.replace(coords=o.coords.astype(jnp.float32)))


@jax.custom_vjp
def _sample(o: BilinearSample) -> Array:
    def run(_: int, x: Array, coords: Array) -> Array:
        return kernels.forward(x, coords, boundary=o.boundary)

    return fold_images(run, 1, (True, True), o.x, o.coords)


def _forward(o: BilinearSample):
    return _sample(o), o


def _backward(o: BilinearSample, g: Array):
    return (use_gradient(_compute_plain_gradients, _compute_gradients)(o, g),)


def _compute_gradients(o: BilinearSample, g: Array) -> BilinearSample:
    """Compute the gradients of image and coordinates with kernels."""

    def run(_: int, x: Array, coords: Array, g: Array) -> tuple[Array, Array]:
        scatter = not settings().deterministic
        dx, dcoords = kernels.backward(x, coords, g, boundary=o.boundary, scatter=scatter)
        if dx is None:
            images, channels = x.shape[0], x.shape[3]
            y, z = (coords[..., axis].reshape(images, -1) for axis in (0, 1))
            values = g.reshape(images, -1, channels)
            dx = gather_sum(y, z, None, values, (x.shape[1], x.shape[2]), boundary=o.boundary)
        return dx.astype(x.dtype), dcoords

    dx, dcoords = fold_images(run, 1, (True, True, True), o.x, o.coords, g)
    return o.replace(x=dx, coords=dcoords)


def _compute_plain_gradients(o: BilinearSample, g: Array) -> BilinearSample:
    """Compute the same gradients in plain JAX, which can be differentiated again."""
    return jax.vjp(xla.bilinear_sample, o)[1](g)[0]


_sample.defvjp(keep_copies(_forward), _backward)
