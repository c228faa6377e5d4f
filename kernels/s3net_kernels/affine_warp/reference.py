"""Affine warp: the coordinates of every pixel, then bilinear sampling."""

from __future__ import annotations

from jax import Array

from s3net_kernels._check import compute_dtype
from s3net_kernels.affine_warp.coordinates import map_coordinates
from s3net_kernels.bilinear_sample.reference import bilinear_sample
from s3net_kernels.operands import AffineWarp, BilinearSample

__all__ = ["affine_warp"]


def affine_warp(o: AffineWarp, dtype=None) -> Array:
    """See ``api.affine_warp``."""
    kind = compute_dtype(o)
    coords = map_coordinates(o.matrix.astype(kind), *o.x.shape[1:3])
    return bilinear_sample(BilinearSample(o.x, coords, boundary=o.boundary), dtype=dtype)
