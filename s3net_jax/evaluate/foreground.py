"""What in a mask's file is foreground: black and white, grey edges, labels, colours, opacity."""

from __future__ import annotations

import numpy as np
from PIL import Image as PilImage

from s3net_jax.errors import InputError

__all__ = ["find_foreground", "find_picture_foreground"]


def find_picture_foreground(picture: PilImage.Image, name: str) -> np.ndarray:
    """(H, W) bool.

    - Of colours the largest of the three channels counts as grey.
    - A palette of other colours than greys holds labels: black is the background, or where no
      pixel is black the first entry.
    - Opacity is ignored where it is the same everywhere. Else what is transparent is background;
      and if all that is not shows one colour, it is the foreground whatever that colour.

    Greys are read as :func:`find_foreground` does.

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
    """bool, of the same shape.

    - 8 or 16 bits of which a pixel has the upper half (0 and 255, as a rule, with grey edges or
      JPEG's noise): what is in the upper half.
    - Other whole numbers are labels: whatever is above 0.
    - Fractions, as of probabilities or after resampling: above half of the largest.

    Args:
      values: real numbers.
      name: what messages call it.

    Raises:
      InputError: there are several labels, and none of them is 0 or less, the background.
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
            f"{name} has the labels {values.min():g} to {values.max():g} and nowhere 0, the "
            "background: set what is not the target to 0."
        )
    return found
