"""Affine warp on NVIDIA GPUs: the coordinates of every pixel, then the sampling kernels."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from s3net_kernels._pallas import supports, unavailable
from s3net_kernels.affine_warp.coordinates import map_coordinates
from s3net_kernels.bilinear_sample.pallas import bilinear_sample
from s3net_kernels.operands import AffineWarp, BilinearSample

__all__ = ["affine_warp", "supports", "unavailable"]


def affine_warp(o: AffineWarp) -> Array:
    """See ``api.affine_warp``."""
    coords = map_coordinates(o.matrix.astype(jnp.float32), *o.x.shape[1:3])
    return bilinear_sample(BilinearSample(o.x, coords, boundary=o.boundary))
