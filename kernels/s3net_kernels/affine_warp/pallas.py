"""Affine warp on NVIDIA GPUs: the coordinates of every pixel, then the sampling kernels."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from s3net_kernels._pallas import decline, unavailable
from s3net_kernels.affine_warp.coordinates import source_coordinates
from s3net_kernels.bilinear_sample.pallas import bilinear_sample

__all__ = ["affine_warp", "supports", "unavailable"]


def supports(x: Array, matrix: Array, *, boundary: str) -> str | None:
    """Declines float64 and empty arrays."""
    return decline(x, matrix)


def affine_warp(x: Array, matrix: Array, *, boundary: str) -> Array:
    """See ``api.affine_warp``; ``matrix`` is (N, 2, 3)."""
    coords = source_coordinates(matrix.astype(jnp.float32), x.shape[1], x.shape[2])
    return bilinear_sample(x, coords, boundary=boundary)
