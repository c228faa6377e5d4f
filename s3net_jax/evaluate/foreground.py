"""Find the foreground of a mask file: black and white, grey edges, labels, colours, opacity."""

from __future__ import annotations

import numpy as np
from PIL import Image as PilImage

from s3net_jax.errors import InputError

__all__ = ["find_foreground", "find_picture_foreground"]


def find_picture_foreground(picture: PilImage.Image, name: str) -> np.ndarray:
    """Find the foreground of a mask that is stored as a picture.

    - Colours are reduced to the largest of their three channels, then treated as grey levels by
      :func:`find_foreground`.
    - A palette with colours other than greys holds labels. Black is the background, or the first
      palette entry if no pixel is black.
    - Opacity is ignored if it is uniform. Otherwise transparent pixels are background. If all
      opaque pixels have one colour, they are the foreground, whatever that colour is.

    Args:
      picture: opened mask.
      name: name of the mask in error messages.

    Returns:
      (H, W) bool.

    Raises:
      InputError: see :func:`find_foreground`.
    """
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        return find_foreground(np.asarray(picture), name)
    if picture.has_transparency_data:
        pixels = np.asarray(picture.convert("RGBA"))
        colors, opaque = pixels[..., :3], pixels[..., 3] > 127
        if opaque.any() and not opaque.all():
            shown = colors[opaque]
            if (shown == shown[0]).all():
                return opaque
            colors = colors * opaque[..., None]
    else:
        colors = np.asarray(picture.convert("RGB"))
    if picture.mode in ("P", "PA") and np.ptp(colors, axis=-1).any():
        coloured = np.asarray(colors.any(-1))
        return np.asarray(np.asarray(picture.getchannel(0)) > 0) if coloured.all() else coloured
    return find_foreground(colors.max(-1), name)


def find_foreground(values: np.ndarray, name: str) -> np.ndarray:
    """Find the foreground of an array of mask values.

    - Unsigned 8 or 16 bit values of which some are in the upper half of the range (usually 0 and
      255, with grey edges or JPEG noise): the foreground is the upper half.
    - Other whole numbers are labels: the foreground is everything above 0.
    - Fractions, such as probabilities or resampled masks: the foreground is everything above half
      of the maximum.

    Args:
      values: real values of any shape.
      name: name of the mask in error messages.

    Returns:
      bool array of the same shape.

    Raises:
      InputError: if there are several labels and none of them is 0 or less (the background).
    """
    if values.dtype.kind == "u" and values.dtype.itemsize <= 2:
        half = np.iinfo(values.dtype).max // 2
        if (values > half).any():
            return values > half
    elif values.dtype.kind == "f" and (values != np.floor(values)).any():
        return values > values.max() / 2
    found = values > 0
    if values.size and found.all() and values.min() < values.max():
        raise InputError(
            f"{name} has labels from {values.min():g} to {values.max():g} but no background: set "
            "everything outside the target to 0."
        )
    return found
