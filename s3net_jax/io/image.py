"""Images as a person sees them: from arrays, PIL images and whatever :mod:`.decode` opens."""

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
"""Fewest pixels on a side that can be segmented."""

_WINDOW = (0.5, 99.5)  # percentiles shown as black and white
_SAMPLES = 1 << 22  # values from which the percentiles are taken


@dataclass(frozen=True, eq=False)
class Image:
    """One image, upright, without transparency.

    Attributes:
      pixels: (H, W) grey or (H, W, 3) RGB; uint8, or float32 in [0, 1].
      name: what messages call it.
      path: where it came from, or None.
      mode: how its pixels were stored: a PIL mode, or a NumPy dtype.
      stored_size: (width, height) in the file, before EXIF's rotation.
      window: the values shown as black and as white when they were scaled, else None.
      notes: sentences a user should know, such as pages left out.
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
        """(H, W, 3) uint8, to show."""
        pixels = self.pixels
        if pixels.dtype != np.uint8:
            pixels = np.round(pixels * 255).astype(np.uint8)
        return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=-1)


def from_array(
    array: Any, name: str = "The array", window: tuple[float, float] | None = None
) -> Image:
    """An image out of a NumPy or JAX array.

    bool and uint8 are taken as they are, and so are floats in [0, 1]. Other integers, and
    floats outside [0, 1], are scaled so that their 0.5th and 99.5th percentiles (over all
    channels together) become 0 and 1, clipped; ``Image.window`` keeps the two. A fourth
    channel is opacity, over white; pixels that are fully transparent count for no percentile.

    With ``window``, values other than bool and uint8 are scaled by it instead.

    Args:
      array: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4).
      name: what messages call it.
      window: the values that become 0 and 1.

    Raises:
      InputError: shape, dtype, NaN or infinity, fewer than 8 pixels on a side, one value only.
      TypeError: no array, or a traced one.
    """
    array = _to_numpy(array, name)
    if array.dtype.kind not in "buif" and array.dtype.name != "bfloat16":
        raise InputError(f"{name} has the dtype {array.dtype}: numbers are needed.")
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != 2 and not (array.ndim == 3 and array.shape[-1] in (3, 4)):
        raise InputError(
            f"{name} has the shape {array.shape}: an image is (H, W), (H, W, 1), (H, W, 3) or "
            "(H, W, 4)."
        )
    mode, used = array.dtype.name, None
    if array.dtype == bool:
        pixels = array.astype(np.uint8) * np.uint8(255)
    elif array.dtype == np.uint8:
        pixels = array
    elif array.ndim == 3 and array.shape[-1] == 4:
        if array.dtype != np.uint16:
            raise InputError(
                f"{name} has an opacity channel of dtype {mode}: only uint8 and uint16 can."
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
    """An image out of numbers with opacity, over white; see :func:`from_array`.

    Args:
      values: (H, W) or (H, W, 3) uint8 or uint16.
      opacity: (H, W) of the same dtype.
      name: what messages call it.
      window: the values that become 0 and 1, unless they are of 8 bits.
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
    """Unsigned colours that were multiplied by their opacity, as they were before."""
    top = np.iinfo(values.dtype).max
    share = np.maximum(opacity, 1) / top
    share = share[..., None] if values.ndim == 3 else share
    return np.minimum(np.round(values / share), top).astype(values.dtype)


def _to_numpy(array: Any, name: str) -> np.ndarray:
    if isinstance(array, np.ma.MaskedArray) and np.ma.getmaskarray(array).any():
        raise InputError(f"{name} is masked: give its values, with what is masked filled in.")
    if is_traced(array):
        raise TypeError(
            "An image can't be a traced array, as inside jit, vmap or grad: s3net_jax.fit can be "
            "transformed, reading and segmenting can't."
        )
    if array is None or isinstance(array, (bytes, Mapping)):
        raise TypeError(
            f"An image is a path, a PIL image or an array (H, W, C), not {type(array).__name__}."
        )
    try:
        return np.asarray(array)
    except (TypeError, ValueError, RuntimeError) as error:  # ragged lists, tensors on a GPU
        detail = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise InputError(f"{name} is no array of numbers ({detail}).") from None


def is_traced(array: Any) -> bool:
    """Whether ``array`` is one of JAX's tracers; JAX is not imported for that."""
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(array, jax.core.Tracer)


def from_pil(
    picture: PilImage.Image, name: str = "The image", window: tuple[float, float] | None = None
) -> Image:
    """An image out of a PIL image of any mode; see :func:`from_array` for 16 bits and floats.

    Transparency is shown over white, as on paper. PIL has only 8 bits of each colour: where the
    file has 16, a note reports it where that is still known; its path gives all of them.

    Raises:
      InputError: as :func:`from_array`; a mode that has no colours to show; broken.
    """
    notes: tuple[str, ...] = ()
    if loses_bits(picture):
        notes = (
            f"{name} has 16 bits, of which PIL keeps 8: pass the file's path for all of them.",
        )
    try:
        picture.load()
    except Exception as error:  # decoders raise whatever they like on broken data
        raise make_broken_error(name, error) from error
    mode, size = picture.mode, picture.size
    if mode in ("I", "F") or mode.startswith("I;16"):
        image = from_array(convert_by_bands(picture, np.asarray), name, window)
        return dataclasses.replace(image, mode=mode, stored_size=size)
    pixels = read_shown_pixels(picture, name)
    notes += _note_window(name, window, None)
    return check_image(Image(pixels, name, None, mode, size, None, notes))


def read_shown_pixels(picture: PilImage.Image, name: str) -> np.ndarray:
    """(H, W) or (H, W, 3) uint8 of a PIL image of 8 bits or less; raises :class:`InputError`."""
    mode = picture.mode
    if mode in ("1", "L"):
        return convert_by_bands(picture, lambda part: np.asarray(part.convert("L")))
    if picture.has_transparency_data:
        pixels = convert_by_bands(picture, _blend_over_white)
        return pixels[..., 0] if mode in ("LA", "La") else pixels
    try:
        return convert_by_bands(picture, lambda part: np.asarray(_convert_to_rgb(part)))
    except ValueError:
        raise InputError(f"{name} has the colour mode {mode}: save it as RGB.") from None


def _note_window(name: str, window: Any, used: Any) -> tuple[str, ...]:
    if window is None or used is not None:
        return ()
    return (f"{name} has 8 bits: the window is not applied to it.",)


def _convert_to_rgb(picture: PilImage.Image) -> PilImage.Image:
    if picture.mode != "LAB":
        return picture.convert("RGB")
    from PIL import ImageCms

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(picture, lab, srgb, outputMode="RGB")
    assert converted is not None  # only None when done in place
    return converted


def _blend_over_white(picture: PilImage.Image) -> np.ndarray:
    """(H, W, 3) uint8."""
    rgba = picture.convert("RGBA")
    white = PilImage.new("RGBA", rgba.size, (255, 255, 255, 255))
    return np.asarray(PilImage.alpha_composite(white, rgba).convert("RGB"))


def scale_to_unit(
    array: np.ndarray,
    name: str,
    window: tuple[float, float] | None = None,
    counted: np.ndarray | None = None,
) -> tuple[np.ndarray, tuple[float, float] | None]:
    """float32 in [0, 1], and the window if the values had to be scaled: by the percentiles of all
    values, or of those where ``counted``."""
    if array.dtype.kind not in "ui":
        wrong = array.size - int(np.count_nonzero(np.isfinite(array)))
        if wrong:
            values = "1 value that is" if wrong == 1 else f"{wrong:,} values that are"
            raise InputError(f"{name} has {values} NaN or infinite: replace them by numbers first.")
    low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
    largest = max(abs(low), abs(high))
    if not math.isfinite(largest):  # of long doubles
        raise InputError(
            f"{name} has values beyond ±1.8e308, the range of float64: divide them by a constant."
        )
    if window is not None:
        return _map_range(array, *window, largest), window
    if array.dtype.kind not in "ui" and low >= 0 and high <= 1:
        return array.astype(np.float32), None
    flat = (array if counted is None or not counted.any() else array[counted]).reshape(-1)
    sample = flat[:: max(1, flat.size // _SAMPLES)].astype(np.float64)
    factor = _find_factor(low, high)
    inner = np.percentile(sample * factor, _WINDOW) / factor if sample.size else (low, high)
    if inner[1] > inner[0]:  # else nearly all is one value: keep the few others
        low, high = float(inner[0]), float(inner[1])
    return _map_range(array, low, high, largest), (low, high)


def _map_range(array: np.ndarray, low: float, high: float, largest: float) -> np.ndarray:
    """Map ``low`` to 0 and ``high`` to 1, clipped; ``largest``: absolute value in the array."""
    factor = min(_find_factor(low, high), _find_factor(-largest, largest))
    low, high = low * factor, high * factor
    scale = 1 / (high - low) if high > low else 0.0
    result = np.empty(array.shape, np.float32)
    for part in split_into_bands(len(array), math.prod(array.shape[1:])):
        values = array[part].astype(np.float64) * factor
        result[part] = np.clip((values - low) * scale, 0, 1)
    return result


def _find_factor(low: float, high: float) -> float:
    """A power of two that makes a range one whose size and inverse are finite: 1 for all but the
    ends of float64's range."""
    size = max(abs(low), abs(high))
    if size > 1e300:  # the difference of two such values may overflow
        return 2.0**-16
    return 2.0**600 if 0 < high - low < 1e-290 and size < 1e100 else 1.0


def invert(pixels: np.ndarray) -> np.ndarray:
    """The negative of pixels as :class:`Image` has them."""
    return 255 - pixels if pixels.dtype == np.uint8 else 1 - pixels


def check_image(image: Image) -> Image:
    """``image``, if it can be segmented at all; raises :class:`InputError`."""
    height, width = image.shape
    if min(height, width) < MIN_SIDE:
        raise InputError(
            f"{image.name} is {width}×{height} pixels: at least {MIN_SIDE}×{MIN_SIDE} are needed."
        )
    if is_uniform(image.pixels):
        raise InputError(f"{image.name} shows one single colour: there is nothing to segment.")
    return image
