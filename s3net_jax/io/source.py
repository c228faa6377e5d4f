"""Convert any supported image source to an :class:`~s3net_jax.io.image.Image`."""

from __future__ import annotations

import os
from typing import Any

from PIL import Image as PilImage

from s3net_jax.io.image import Image, from_array, from_pil
from s3net_jax.io.read import read

__all__ = ["to_image"]


def to_image(source: Any, window: tuple[float, float] | None = None) -> Image:
    """Make an :class:`Image` from a path, a PIL image or an array.

    Args:
      source: path, PIL image, array, or Image (returned unchanged).
      window: values shown as black and as white, for images with more than 8 bits; None uses
        percentiles.

    Raises:
      InputError: see :func:`read` and :func:`from_array`.
      TypeError: ``source`` is of another type.
    """
    if isinstance(source, Image):
        return source
    if isinstance(source, (str, os.PathLike)):
        return read(source, window)
    if isinstance(source, PilImage.Image):
        return from_pil(source, window=window)
    return from_array(source, window=window)
