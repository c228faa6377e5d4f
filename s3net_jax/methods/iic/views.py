"""Draw the pairs of views that IIC compares: a random crop, and the same crop transformed."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from s3net_jax.config import AffineConfig, IICConfig
from s3net_jax.methods.iic.colors import jitter_colors
from s3net_jax.ops import draw_affine, warp_valid
from s3net_kernels import affine_warp

__all__ = ["Views", "align", "compute_crop_shape", "draw_views"]


class Views(NamedTuple):
    """Pairs of views and the geometric part of their transforms."""

    first: Array
    """Crops x (N, h, w, C)."""
    second: Array
    """The same crops transformed, x' (N, h, w, C)."""
    flipped: Array
    """(N,) bool, whether x' is mirrored, after its affine transform."""
    matrix: Array | None
    """(N, 2, 3) affine transforms, see :func:`s3net_jax.ops.affine_matrix`, or None."""


def compute_crop_shape(shape: tuple[int, int], settings: IICConfig) -> tuple[int, int]:
    """Compute the size (h, w) of the crops of an image of size (H, W), rounded to pixels."""
    return round(shape[0] * settings.crop_side), round(shape[1] * settings.crop_side)


def draw_views(
    key: Array, images: Array, settings: IICConfig, implementation: str | None = None
) -> Views:
    """Draw pairs of views: ``settings.crops`` from each image.

    The first view is a crop at a random place, unchanged. The second is the same crop with random
    colours, then an affine transform if ``settings`` has one, then mirrored with probability ½.

    Args:
      key: a PRNG key.
      images: (M, H, W, C) in [0, 1].
      settings: sizes and ranges.
      implementation: implementation of ``s3net_kernels.affine_warp``; None selects the best one.

    Returns:
      N = M · crops pairs, those of an image one after another.
    """
    count = len(images) * settings.crops
    height, width = compute_crop_shape((images.shape[1], images.shape[2]), settings)
    keys = jax.random.split(key, 5)
    tops = jax.random.randint(keys[0], (count,), 0, images.shape[1] - height + 1)
    lefts = jax.random.randint(keys[1], (count,), 0, images.shape[2] - width + 1)
    numbers = jnp.arange(count) // settings.crops

    def cut(number: Array, top: Array, left: Array) -> Array:
        size = (1, height, width, images.shape[3])
        return jax.lax.dynamic_slice(images, (number, top, left, 0), size)[0]

    first = jax.vmap(cut)(numbers, tops, lefts)
    second = jitter_colors(
        keys[2],
        first,
        brightness=settings.brightness,
        contrast=settings.contrast,
        saturation=settings.saturation,
        hue=settings.hue,
    )
    matrix = _draw_matrices(keys[3], first, settings)
    if matrix is not None:
        second = affine_warp(second, matrix, implementation=implementation)
    flipped = jnp.zeros((count,), bool)
    if settings.flip:
        flipped = jax.random.bernoulli(keys[4], 0.5, (count,))
        second = _flip(second, flipped)
    return Views(first, second, flipped, matrix)


def align(
    maps: Array, views: Views, implementation: str | None = None
) -> tuple[Array, Array | None]:
    """Transform maps of the second views back to the coordinates of the first ones.

    Args:
      maps: maps of the second views, (N, h, w, K).
      views: the pairs.
      implementation: implementation of ``s3net_kernels.affine_warp``; None selects the best one.

    Returns:
      Maps (N, h, w, K), bilinear and zero outside, and the (N, h, w) bool mask of the pixels that
      the second views show; None if they show every pixel.
    """
    maps = _flip(maps, views.flipped)
    if views.matrix is None:
        return maps, None
    inverse = _invert(views.matrix)
    shape = (maps.shape[1], maps.shape[2])
    valid = jax.vmap(lambda matrix: warp_valid(matrix, shape))(inverse)
    return affine_warp(maps, inverse.astype(maps.dtype), implementation=implementation), valid


def _draw_matrices(key: Array, images: Array, settings: IICConfig) -> Array | None:
    """Draw an affine transform (2, 3) for each image about its centre; None without any range."""
    turn, shear, zoom = settings.rotation, settings.shear, settings.scale
    if not (turn or shear or zoom):
        return None
    ranges = AffineConfig((-turn, turn), (0.0, 0.0), (1 - zoom, 1 + zoom), (-shear, shear))
    shape = (images.shape[1], images.shape[2])
    keys = jax.random.split(key, len(images))
    return jax.vmap(lambda key: draw_affine(key, ranges, shape, images.dtype))(keys)


def _flip(maps: Array, flipped: Array) -> Array:
    return jnp.where(flipped[:, None, None, None], maps[:, :, ::-1], maps)


def _invert(matrix: Array) -> Array:
    """Invert affine transforms (N, 2, 3) in closed form."""
    (a, b, y), (c, d, x) = jnp.moveaxis(matrix, (1, 2), (0, 1))
    determinant = a * d - b * c
    rows = ((d, -b, b * x - d * y), (-c, a, c * y - a * x))
    return jnp.stack([jnp.stack(row, -1) for row in rows], 1) / determinant[:, None, None]
