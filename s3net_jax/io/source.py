"""One door for everything an image may come as."""

from __future__ import annotations

import os
from typing import Any

from PIL import Image as PilImage

from s3net_jax.io.image import Image, from_array, from_pil
from s3net_jax.io.read import read

__all__ = ["to_image"]


def to_image(source: Any, window: tuple[float, float] | None = None) -> Image:
    """An :class:`Image` out of a path, a PIL image, an array, or an Image (returned as it is).

    ``window``: the values shown as black and as white, of images of more than 8 bits.

    Raises:
      InputError: see :func:`read` and :func:`from_array`.
    """
    if isinstance(source, Image):
        return source
    if isinstance(source, (str, os.PathLike)):
        return read(source, window)
    if isinstance(source, PilImage.Image):
        return from_pil(source, window=window)
    return from_array(source, window=window)
