"""Images in display form, made from arrays, PIL images or files (:mod:`.read`)."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PilImage

from s3net_jax.errors import InputError, make_broken_error
from s3net_jax.io.bands import convert_by_bands, is_uniform, split_into_bands
from s3net_jax.io.deep_colors import loses_bits

__all__ = ["MIN_SIDE", "Image", "from_array", "from_pil"]

MIN_SIDE = 8
"""Smallest height and width, in pixels, that can be segmented."""

_WINDOW = (0.5, 99.5)  # percentiles shown as black and white, so that outliers are clipped
# Percentiles are estimated from an evenly spaced subsample of larger arrays, because
# np.percentile copies and sorts its input: 4 Mi float64 values take 32 MiB.
_SAMPLES = 1 << 22


@dataclass(frozen=True, eq=False)
class Image:
    """One upright image without transparency.

    Attributes:
      pixels: (H, W) grey or (H, W, 3) RGB; uint8, or float32 in [0, 1].
      name: name of the image in messages.
      path: path of the source file, or None.
      mode: storage format of the source: a PIL mode or a NumPy dtype.
      stored_size: (width, height) in the file, before the EXIF rotation.
      window: values mapped to black and to white, or None if the values were not scaled.
      notes: sentences to show to the user, such as which pages were left out.
    """

    pixels: np.ndarray
    name: str = "image"
    path: Path | None = None
    mode: str = ""
    stored_size: tuple[int, int] = (0, 0)
    window: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        return self.pixels.shape[0], self.pixels.shape[1]

    def rgb8(self) -> np.ndarray:
        """Return (H, W, 3) uint8 pixels for display."""
        pixels = self.pixels
        if pixels.dtype != np.uint8:
            pixels = np.round(pixels * 255).astype(np.uint8)
        return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=-1)


def from_array(
    array: Any, name: str = "The array", window: tuple[float, float] | None = None
) -> Image:
    """Make an image from a NumPy or JAX array.

    bool, uint8 and floats in [0, 1] are not scaled. Other values are mapped linearly from their
    0.5th and 99.5th percentiles (over all channels) to [0, 1] and clipped; ``Image.window``
    holds the two percentiles. A fourth channel is the opacity over a white background; fully
    transparent pixels are excluded from the percentiles.

    Args:
      array: pixels: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4).
      name: name of the image in messages.
      window: values to map to 0 and 1 instead of the percentiles; bool and uint8 ignore it.

    Raises:
      InputError: the shape or dtype is not supported, a value is NaN or infinite, a side is
        shorter than 8 pixels, or all pixels are equal.
      TypeError: ``array`` is not an array, or is a traced one.
    """
    array = _to_numpy(array, name)
    if array.dtype.kind not in "buif" and array.dtype.name != "bfloat16":
        raise InputError(f"{name} has dtype {array.dtype}; an image needs a numeric dtype.")
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != 2 and not (array.ndim == 3 and array.shape[-1] in (3, 4)):
        raise InputError(
            f"{name} has shape {array.shape}; an image must have shape (H, W), (H, W, 1), "
            "(H, W, 3) or (H, W, 4)."
        )
    mode, used = array.dtype.name, None
    if array.dtype == bool:
        pixels = array.astype(np.uint8) * np.uint8(255)
    elif array.dtype == np.uint8:
        pixels = array
    elif array.ndim == 3 and array.shape[-1] == 4:
        if array.dtype != np.uint16:
            raise InputError(
                f"{name} has an opacity channel of dtype {mode}; it must be uint8 or uint16."
            )
        return from_samples(array[..., :3], array[..., 3], name, window)
    else:
        pixels, used = scale_to_unit(array, name, window)
    if pixels.ndim == 3 and pixels.shape[-1] == 4:
        pixels = _blend_over_white(PilImage.fromarray(pixels))
    size = array.shape[1], array.shape[0]
    return check_image(
        Image(pixels, name, None, mode, size, used, _note_window(name, window, used))
    )


def from_samples(
    values: np.ndarray, opacity: np.ndarray, name: str, window: tuple[float, float] | None = None
) -> Image:
    """Make an image by blending samples with an opacity over white; see :func:`from_array`.

    Args:
      values: colours, (H, W) or (H, W, 3), uint8 or uint16.
      opacity: opacity, (H, W), same dtype.
      name: name of the image in messages.
      window: values to map to 0 and 1; uint8 ignores it.
    """
    if values.dtype == np.uint8:
        colors = values if values.ndim == 3 else np.repeat(values[..., None], 3, -1)
        image = from_array(np.dstack([colors, opacity]), name, window)
        pixels = image.pixels if values.ndim == 3 else image.pixels[..., 0]
        return dataclasses.replace(image, pixels=pixels)
    pixels, used = scale_to_unit(values, name, window, opacity > 0)
    share = (opacity / np.float32(65535)).astype(np.float32)
    share = share[..., None] if values.ndim == 3 else share
    size, mode = (values.shape[1], values.shape[0]), values.dtype.name
    return check_image(Image(pixels * share + (1 - share), name, None, mode, size, used))


def unpremultiply(values: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    """Divide unsigned colours by the opacity that they were multiplied by."""
    top = np.iinfo(values.dtype).max
    share = np.maximum(opacity, 1) / top  # avoids dividing by 0; such pixels are invisible
    share = share[..., None] if values.ndim == 3 else share
    return np.minimum(np.round(values / share), top).astype(values.dtype)


def _to_numpy(array: Any, name: str) -> np.ndarray:
    if isinstance(array, np.ma.MaskedArray) and np.ma.getmaskarray(array).any():
        raise InputError(f"{name} is a masked array: fill the masked values first.")
    if is_traced(array):
        raise TypeError(
            "An image cannot be a traced array: reading and segmenting cannot run inside jit, vmap "
            "or grad; use s3net_jax.fit there."
        )
    if array is None or isinstance(array, (bytes, Mapping)):
        raise TypeError(
            "An image must be a path, a PIL image or an array (H, W, C), not "
            f"{type(array).__name__}."
        )
    try:
        return np.asarray(array)
    except (TypeError, ValueError, RuntimeError) as error:  # ragged lists, tensors on a GPU
        detail = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise InputError(f"{name} cannot be converted to a numeric array ({detail}).") from None


def is_traced(array: Any) -> bool:
    """Return whether ``array`` is a JAX tracer, without importing JAX."""
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(array, jax.core.Tracer)


def from_pil(
    picture: PilImage.Image, name: str = "The image", window: tuple[float, float] | None = None
) -> Image:
    """Make an image from a PIL image of any mode; see :func:`from_array` for 16 bits and floats.

    Transparent pixels are blended over white. PIL keeps 8 bits of each colour: a note is added
    if the file has 16 and PIL has not decoded it yet. Pass the path to use all 16 bits.

    Args:
      picture: PIL image.
      name: name of the image in messages.
      window: values shown as black and as white, for images with more than 8 bits.

    Raises:
      InputError: as in :func:`from_array`; or the mode has no colours, or the file is broken.
    """
    notes: tuple[str, ...] = ()
    if loses_bits(picture):
        notes = (
            f"{name} has 16 bits per colour and PIL keeps 8: pass the path to use all of them.",
        )
    try:
        picture.load()
    except Exception as error:  # decoders raise many types of exceptions for broken data
        raise make_broken_error(name, error) from error
    mode, size = picture.mode, picture.size
    if mode in ("I", "F") or mode.startswith("I;16"):
        image = from_array(convert_by_bands(picture, np.asarray), name, window)
        return dataclasses.replace(image, mode=mode, stored_size=size)
    pixels = read_shown_pixels(picture, name)
    notes += _note_window(name, window, None)
    return check_image(Image(pixels, name, None, mode, size, None, notes))


def read_shown_pixels(picture: PilImage.Image, name: str) -> np.ndarray:
    """Return (H, W) or (H, W, 3) uint8 pixels of a PIL image with 8 bits or fewer per sample.

    Raises:
      InputError: the colour mode cannot be converted to RGB.
    """
    mode = picture.mode
    if mode in ("1", "L"):
        return convert_by_bands(picture, lambda part: np.asarray(part.convert("L")))
    if picture.has_transparency_data:
        pixels = convert_by_bands(picture, _blend_over_white)
        return pixels[..., 0] if mode in ("LA", "La") else pixels
    try:
        return convert_by_bands(picture, lambda part: np.asarray(_convert_to_rgb(part)))
    except ValueError:
        raise InputError(
            f"{name} has the unsupported colour mode {mode}: save it as RGB."
        ) from None


def _note_window(name: str, window: Any, used: Any) -> tuple[str, ...]:
    if window is None or used is not None:
        return ()
    return (f"{name} has 8 bits; the window is ignored.",)


def _convert_to_rgb(picture: PilImage.Image) -> PilImage.Image:
    if picture.mode != "LAB":
        return picture.convert("RGB")
    from PIL import ImageCms

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(picture, lab, srgb, outputMode="RGB")
    assert converted is not None  # profileToProfile returns None only with inPlace=True
    return converted


def _blend_over_white(picture: PilImage.Image) -> np.ndarray:
    """Return (H, W, 3) uint8 pixels of ``picture`` over a white background."""
    rgba = picture.convert("RGBA")
    white = PilImage.new("RGBA", rgba.size, (255, 255, 255, 255))
    return np.asarray(PilImage.alpha_composite(white, rgba).convert("RGB"))


def scale_to_unit(
    array: np.ndarray,
    name: str,
    window: tuple[float, float] | None = None,
    counted: np.ndarray | None = None,
) -> tuple[np.ndarray, tuple[float, float] | None]:
    """Map values to [0, 1] by a window, or by percentiles unless they are floats in [0, 1].

    Args:
      array: numbers of any shape.
      name: name of the image in messages.
      window: values to map to 0 and 1; None uses percentiles.
      counted: mask of the pixels from which percentiles are taken; None takes all.

    Returns:
      float32 values in [0, 1], and the window used, or None if the values were not scaled.

    Raises:
      InputError: a value is NaN, infinite or outside the range of float64.
    """
    if array.dtype.kind not in "ui":
        wrong = array.size - int(np.count_nonzero(np.isfinite(array)))
        if wrong:
            values = "1 value that is" if wrong == 1 else f"{wrong:,} values that are"
            raise InputError(f"{name} has {values} NaN or infinite: replace them with numbers.")
    low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
    largest = max(abs(low), abs(high))
    if not math.isfinite(largest):  # finite long doubles may overflow float64
        raise InputError(
            f"{name} has values outside ±1.8e308, the range of float64: divide them by a constant."
        )
    if window is not None:
        return _map_range(array, *window, largest), window
    if array.dtype.kind not in "ui" and low >= 0 and high <= 1:
        return array.astype(np.float32), None
    flat = (array if counted is None or not counted.any() else array[counted]).reshape(-1)
    sample = flat[:: max(1, flat.size // _SAMPLES)].astype(np.float64)
    factor = _find_factor(low, high)
    inner = np.percentile(sample * factor, _WINDOW) / factor if sample.size else (low, high)
    if inner[1] > inner[0]:  # otherwise nearly all pixels are equal: use the full range
        low, high = float(inner[0]), float(inner[1])
    return _map_range(array, low, high, largest), (low, high)


def _map_range(array: np.ndarray, low: float, high: float, largest: float) -> np.ndarray:
    """Map ``low`` to 0 and ``high`` to 1 and clip; ``largest`` is the largest absolute value.

    The arithmetic is float64, since float32 would lose bits of wide integers; working in bands
    keeps the temporary arrays small.
    """
    factor = min(_find_factor(low, high), _find_factor(-largest, largest))
    low, high = low * factor, high * factor
    scale = 1 / (high - low) if high > low else 0.0
    result = np.empty(array.shape, np.float32)
    for part in split_into_bands(len(array), math.prod(array.shape[1:])):
        values = array[part].astype(np.float64) * factor
        result[part] = np.clip((values - low) * scale, 0, 1)
    return result


def _find_factor(low: float, high: float) -> float:
    """Return a power of two by which to scale a range so that its width and inverse are finite.

    The factor is 1 except near the limits of float64. Powers of two multiply without rounding.
    """
    size = max(abs(low), abs(high))
    if size > 1e300:  # the difference of two such values may overflow
        return 2.0**-16
    # The inverse of a width near the smallest float64 (2.2e-308) may overflow.
    return 2.0**600 if 0 < high - low < 1e-290 and size < 1e100 else 1.0


def invert(pixels: np.ndarray) -> np.ndarray:
    """Return the negative of uint8 pixels, or of float pixels in [0, 1]."""
    return 255 - pixels if pixels.dtype == np.uint8 else 1 - pixels


def check_image(image: Image) -> Image:
    """Return ``image``; raise :class:`InputError` if it is too small or has only one colour."""
    height, width = image.shape
    if min(height, width) < MIN_SIDE:
        raise InputError(
            f"{image.name} has {width}×{height} pixels; at least {MIN_SIDE}×{MIN_SIDE} are needed."
        )
    if is_uniform(image.pixels):
        raise InputError(f"{image.name} has only one colour: there is nothing to segment.")
    return image
