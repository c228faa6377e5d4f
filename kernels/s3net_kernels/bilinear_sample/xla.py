"""Bilinear sampling in plain JAX: four gathers of rows, and as many again in the backward pass."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from s3net_kernels._bilinear import Corner, add_rows, find_corners, interpolate, take_rows
from s3net_kernels._check import compute_dtype
from s3net_kernels._residuals import keep_copies
from s3net_kernels.operands import BilinearSample

__all__ = ["bilinear_sample"]


@jax.custom_vjp
def bilinear_sample(o: BilinearSample) -> Array:
    """See ``api.bilinear_sample``."""
    kind = compute_dtype(o)
    return interpolate(*_prepare(o, kind), kind).astype(o.x.dtype)


def _prepare(o: BilinearSample, kind) -> tuple[Array, tuple[Corner, ...]]:
    """Flatten the images to (N·H·W, C) rows and find the corners of every coordinate."""
    batch, height, width, channels = o.x.shape
    image = jnp.arange(batch, dtype=jnp.int32)[:, None, None]
    y, x = (o.coords[..., axis].astype(kind) for axis in (0, 1))
    around = find_corners(image, y, x, (height, width), o.boundary)
    return o.x.reshape(batch * height * width, channels), around


def _forward(o: BilinearSample):
    return bilinear_sample(o), o


def _backward(o: BilinearSample, g: Array):
    kind = compute_dtype(o)
    rows, around = _prepare(o, kind)
    g = g.astype(kind)
    dy = dx = jnp.zeros((), kind)
    for corner in around:
        product = jnp.sum(take_rows(rows, corner).astype(kind) * g, -1)
        product = jnp.where(corner.inside, product, 0)
        dy, dx = dy + product * corner.dy, dx + product * corner.dx
    image = add_rows(jnp.zeros(rows.shape, kind), around, g).reshape(o.x.shape)
    coords = jnp.stack([dy, dx], -1)
    return (o.replace(x=image.astype(o.x.dtype), coords=coords.astype(o.coords.dtype)),)


bilinear_sample.defvjp(keep_copies(_forward), _backward)
