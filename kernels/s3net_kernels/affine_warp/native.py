"""Affine warp on the CPU: the coordinates of every pixel, then bilinear sampling in C++."""

from __future__ import annotations

from jax import Array

from s3net_kernels._check import compute_dtype
from s3net_kernels._native import unavailable, unsupported
from s3net_kernels.affine_warp.coordinates import source_coordinates
from s3net_kernels.bilinear_sample.native import bilinear_sample

__all__ = ["affine_warp", "supports", "unavailable"]


def supports(x: Array, matrix: Array, *, boundary: str) -> str | None:
    """Serves every valid call on the CPU."""
    return unsupported(x, matrix)


def affine_warp(x: Array, matrix: Array, *, boundary: str) -> Array:
    """See ``api.affine_warp``; ``matrix`` is (N, 2, 3)."""
    kind = compute_dtype(x, matrix)
    coords = source_coordinates(matrix.astype(kind), x.shape[1], x.shape[2])
    return bilinear_sample(x, coords, boundary=boundary)
