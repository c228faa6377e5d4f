"""Affine warp on the CPU: the coordinates of every pixel, then bilinear sampling in C++."""

from __future__ import annotations

from jax import Array

from s3net_kernels._check import compute_dtype
from s3net_kernels._native import supports, unavailable
from s3net_kernels.affine_warp.coordinates import map_coordinates
from s3net_kernels.bilinear_sample.native import bilinear_sample
from s3net_kernels.operands import AffineWarp, BilinearSample

__all__ = ["affine_warp", "supports", "unavailable"]


def affine_warp(o: AffineWarp) -> Array:
    """See ``api.affine_warp``."""
    kind = compute_dtype(o)
    coords = map_coordinates(o.matrix.astype(kind), *o.x.shape[1:3])
    return bilinear_sample(BilinearSample(o.x, coords, boundary=o.boundary))
