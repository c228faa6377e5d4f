"""Change the colours of images at random, as IIC does for the second view of a pair."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

__all__ = ["jitter_colors", "shift_hue"]

# Luma weights of ITU-R BT.601, which PyTorch's colour jitter uses for grey, too.
_LUMA = (0.299, 0.587, 0.114)


def jitter_colors(
    key: Array,
    images: Array,
    *,
    brightness: float,
    contrast: float,
    saturation: float,
    hue: float,
) -> Array:
    """Change brightness, contrast, saturation and hue of each image by random amounts.

    Brightness multiplies the values by a factor from U[1 − b, 1 + b]; contrast blends the image
    with its mean grey, and saturation with its grey image, by such a factor; hue turns the colour
    circle by U[−h, h] of a full turn. Values are clipped to [0, 1] after each change. The order is
    fixed, where PyTorch's ``ColorJitter`` draws one, so that a step is one short program. Amounts
    of zero cost nothing, and saturation and hue apply only to images of three channels.

    Args:
      key: a PRNG key.
      images: (N, H, W, C) in [0, 1].
      brightness: b, in [0, 1].
      contrast: b of the contrast, in [0, 1].
      saturation: b of the saturation, in [0, 1].
      hue: h, in [0, 0.5].

    Returns:
      Images (N, H, W, C) in [0, 1], in the dtype of ``images``.
    """
    draws = jax.random.uniform(key, (4, len(images), 1, 1, 1), images.dtype, -1, 1)
    if brightness:
        images = jnp.clip(images * (1 + brightness * draws[0]), 0, 1)
    if contrast:
        mean = jnp.mean(_compute_grey(images), (1, 2, 3), keepdims=True)
        images = _blend(images, mean, 1 + contrast * draws[1])
    if images.shape[-1] != 3:
        return images
    if saturation:
        images = _blend(images, _compute_grey(images), 1 + saturation * draws[2])
    return shift_hue(images, hue * draws[3]) if hue else images


def shift_hue(images: Array, turns: Array) -> Array:
    """Turn the hue of RGB images in HSV space.

    Args:
      images: (..., 3) in [0, 1].
      turns: fraction of a full turn, which broadcasts to (..., 1).

    Returns:
      Images (..., 3) in [0, 1], with the same saturation and value (HSV).
    """
    red, green, blue = images[..., :1], images[..., 1:2], images[..., 2:]
    value, least = jnp.max(images, -1, keepdims=True), jnp.min(images, -1, keepdims=True)
    chroma = value - least
    by = jnp.where(chroma == 0, 1, chroma)  # a grey has no hue: any number does
    sixths = jnp.where(
        value == red,
        (green - blue) / by,
        jnp.where(value == green, 2 + (blue - red) / by, 4 + (red - green) / by),
    )
    # Each channel is the value less the chroma times a trapezoid over the colour circle.
    offsets = jnp.asarray([5, 3, 1], images.dtype)
    k = jnp.mod(offsets + sixths + 6 * turns, 6)
    return value - chroma * jnp.clip(jnp.minimum(k, 4 - k), 0, 1)


def _compute_grey(images: Array) -> Array:
    """Compute grey values (N, H, W, 1): the luma of three channels, the mean of any others."""
    if images.shape[-1] != 3:
        return jnp.mean(images, -1, keepdims=True)
    return jnp.sum(images * jnp.asarray(_LUMA, images.dtype), -1, keepdims=True)


def _blend(images: Array, others: Array, factor: Array) -> Array:
    return jnp.clip(others + factor * (images - others), 0, 1)
