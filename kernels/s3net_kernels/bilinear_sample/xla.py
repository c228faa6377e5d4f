"""Bilinear sampling in plain JAX: four gathers of rows; backward, one more pass over them."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import Array

from s3net_kernels._bilinear import add_rows, corners, interpolate, take_rows
from s3net_kernels._check import compute_dtype

__all__ = ["bilinear_sample", "supports"]


def supports(*args, **kwargs) -> str | None:
    """Serves every valid call."""


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _sample(x: Array, coords: Array, boundary: str) -> Array:
    kind = compute_dtype(x, coords)
    y, z = coords[..., 0].astype(kind), coords[..., 1].astype(kind)
    rows = x.reshape(-1, x.shape[3])
    return interpolate(rows, corners(y, z, x.shape[:3], boundary), kind).astype(x.dtype)


def _sample_fwd(x: Array, coords: Array, boundary: str):
    return _sample(x, coords, boundary), (x, coords)


def _sample_bwd(boundary: str, saved: tuple[Array, Array], g: Array):
    x, coords = saved
    kind = compute_dtype(x, coords)
    y, z, g = coords[..., 0].astype(kind), coords[..., 1].astype(kind), g.astype(kind)
    rows = x.reshape(-1, x.shape[3])
    around = corners(y, z, x.shape[:3], boundary)
    dy = dz = jnp.zeros((), kind)
    for corner in around:
        product = jnp.sum(take_rows(rows, corner.row).astype(kind) * g, -1)
        dy, dz = dy + product * corner.dy, dz + product * corner.dx
    dx = add_rows(rows.shape, around, g).reshape(x.shape)
    return dx.astype(x.dtype), jnp.stack([dy, dz], -1).astype(coords.dtype)


_sample.defvjp(_sample_fwd, _sample_bwd)


def bilinear_sample(x: Array, coords: Array, *, boundary: str) -> Array:
    """See ``api.bilinear_sample``."""
    return _sample(x, coords, boundary)
