"""Thin differentiable image operations: Sobel filters and affine transforms."""

from s3net_jax.ops.affine import (
    affine_matrix,
    draw_affine,
    warp,
    warp_labels,
    warp_valid,
)
from s3net_kernels import sobel

__all__ = ["affine_matrix", "draw_affine", "sobel", "warp", "warp_labels", "warp_valid"]
