"""Bilinear sampling in plain JAX: four gathers of rows; backward, one more pass over them."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import Array

from s3net_kernels._bilinear import Corner, add_rows, corner_rows, corners, interpolate
from s3net_kernels._check import compute_dtype
from s3net_kernels._residuals import owning

__all__ = ["bilinear_sample", "supports"]


def supports(*args, **kwargs) -> str | None:
    """Serves every valid call."""


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _sample(x: Array, coords: Array, boundary: str) -> Array:
    kind = compute_dtype(x, coords)
    rows, around = _prepare(x, coords.astype(kind), boundary)
    return interpolate(rows, around, kind).astype(x.dtype)


def _prepare(x: Array, coords: Array, boundary: str) -> tuple[Array, tuple[Corner, ...]]:
    """The images as (N·H·W, C) rows, and the corners of every coordinate."""
    batch, height, width, channels = x.shape
    image = jnp.arange(batch, dtype=jnp.int32)[:, None, None]
    around = corners(image, coords[..., 0], coords[..., 1], (height, width), boundary)
    return x.reshape(batch * height * width, channels), around


def _sample_fwd(x: Array, coords: Array, boundary: str):
    return _sample(x, coords, boundary), (x, coords)


def _sample_bwd(boundary: str, saved: tuple[Array, Array], g: Array):
    x, coords = saved
    kind = compute_dtype(x, coords)
    rows, around = _prepare(x, coords.astype(kind), boundary)
    g = g.astype(kind)
    dy = dz = jnp.zeros((), kind)
    for corner in around:
        product = jnp.sum(corner_rows(rows, corner).astype(kind) * g, -1)
        product = jnp.where(corner.inside, product, 0)
        dy, dz = dy + product * corner.dy, dz + product * corner.dx
    dx = add_rows(jnp.zeros(rows.shape, kind), around, g).reshape(x.shape)
    return dx.astype(x.dtype), jnp.stack([dy, dz], -1).astype(coords.dtype)


_sample.defvjp(owning(_sample_fwd), _sample_bwd)


def bilinear_sample(x: Array, coords: Array, *, boundary: str) -> Array:
    """See ``api.bilinear_sample``."""
    return _sample(x, coords, boundary)
