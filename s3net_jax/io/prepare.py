"""Convert an image to the network's input."""

from __future__ import annotations

import numpy as np

from s3net_jax.config import InputConfig
from s3net_jax.io.image import Image
from s3net_jax.io.resize import resize_antialias, resize_opencv

__all__ = ["compute_prepared_shape", "prepare"]

# With ``aspect="keep"`` the short side is a multiple of this, because each new shape costs a
# compilation. Not tuned: 16 allows 16 shapes for a long side of 256, and the short side is off by
# at most 8 pixels.
_GRAIN = 16


def compute_prepared_shape(shape: tuple[int, int], config: InputConfig) -> tuple[int, int]:
    """Return the shape (h, w) of the network's input for an image of ``shape`` (H, W)."""
    if config.aspect == "square":
        return config.size, config.size
    exact = config.size * min(shape) / max(shape)
    short = min(max(_GRAIN, round(exact / _GRAIN) * _GRAIN), config.size)
    return (short, config.size) if shape[0] <= shape[1] else (config.size, short)


def prepare(image: Image, config: InputConfig) -> np.ndarray:
    """Resize an image, scale it to [0, 1] and order its channels as configured.

    Grey images are repeated over three channels. With ``resize="opencv"``, 8-bit images are
    rounded to 8 bits after resampling, as in OpenCV, and scaled afterwards.

    Args:
      image: image to convert.
      config: input settings.

    Returns:
      (h, w, 3) float32 in [0, 1].
    """
    shape = compute_prepared_shape(image.shape, config)
    pixels = image.pixels
    if config.resize == "opencv":
        pixels = resize_opencv(pixels, shape)
    elif image.shape != shape:
        planes = pixels[..., None] if pixels.ndim == 2 else pixels
        resized = [resize_antialias(planes[..., c], shape) for c in range(planes.shape[-1])]
        pixels = np.stack(resized, -1) / np.float32(255 if image.pixels.dtype == np.uint8 else 1)
    if pixels.dtype == np.uint8:
        pixels = pixels / np.float32(255)
    pixels = np.clip(pixels, 0, 1).astype(np.float32)
    if pixels.ndim == 2 or pixels.shape[-1] == 1:
        return np.repeat(pixels.reshape(*shape, 1), 3, axis=-1)
    return np.ascontiguousarray(pixels[..., ::-1] if config.channel_order == "bgr" else pixels)
