"""Read 16-bit colours of PNG and TIFF files, of which PIL keeps only the upper 8 bits."""

from __future__ import annotations

import contextlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PilImage
from PIL import ImageOps

__all__ = ["Samples", "has_deep_colors", "loses_bits", "read_samples"]

_NATIVE = {"little": "L", "big": "B"}[sys.byteorder]


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples of an upright picture.

    Attributes:
      values: grey values or colours, (H, W) or (H, W, 3) uint16.
      opacity: opacity, (H, W) uint16, or None.
      premultiplied: whether the values are multiplied by the opacity.
      stored_size: (width, height) in the file, before the EXIF rotation.
    """

    values: np.ndarray
    opacity: np.ndarray | None
    premultiplied: bool
    stored_size: tuple[int, int]


def has_deep_colors(picture: PilImage.Image) -> bool:
    """Return whether a picture has 16-bit colours, or 16-bit grey with transparency.

    ``picture`` must not be decoded yet.
    """
    return loses_bits(picture) or _is_keyed_grey(picture)


def loses_bits(picture: PilImage.Image) -> bool:
    """Return whether PIL will drop the lower bytes of a picture that is not decoded yet."""
    return _find_raw_mode(picture) is not None


def read_samples(path: Path, formats: tuple[str, ...], page: int = 0) -> Samples | None:
    """Read all 16 bits of a picture for which :func:`has_deep_colors` holds.

    Args:
      path: path of the file.
      formats: PIL formats to try.
      page: index of the page.

    Returns:
      The samples, or None for other pictures.

    Raises:
      Exception: any exception from PIL for broken data.
    """
    with PilImage.open(path, formats=formats) as picture:
        if page:
            picture.seek(page)
        raw, size, key = _find_raw_mode(picture), picture.size, picture.info.get("transparency")
        if raw is None and not _is_keyed_grey(picture):
            return None
        premultiplied = raw is not None and raw.startswith("RGBa")
        if raw is None:
            values = _turn_upright(picture).astype(np.uint16)
    if raw is not None:
        values = _read_both_bytes(path, formats, page, raw)
    bands = 1 if values.ndim == 2 else values.shape[-1]
    if bands in (2, 4):
        colors = values[..., 0] if bands == 2 else values[..., :3]
        return Samples(colors, values[..., -1], premultiplied, size)
    opacity = None
    if isinstance(key, (int, tuple)):  # one colour is transparent
        other = values != np.array(key, np.int64)
        opacity = (other if bands == 1 else other.any(-1)).astype(np.uint16) * np.uint16(65535)
    return Samples(values, opacity, False, size)


def _is_keyed_grey(picture: PilImage.Image) -> bool:
    return picture.mode.startswith("I;16") and isinstance(picture.info.get("transparency"), int)


def _find_raw_mode(picture: PilImage.Image) -> str | None:
    """Return PIL's raw mode of a picture if PIL would drop the lower bytes, else None."""
    modes = {_get_tile_mode(tile.args) for tile in getattr(picture, "tile", [])}
    mode = modes.pop() if len(modes) == 1 else None
    return mode if mode and re.fullmatch(r"(RGB[AaX]?;16[BLN])|(LA;16B)", mode) else None


def _get_tile_mode(args: Any) -> str:
    return str(args[0] if isinstance(args, tuple) and args else args)


def _read_both_bytes(path: Path, formats: tuple[str, ...], page: int, raw: str) -> np.ndarray:
    """Return (H, W, bands) uint16 samples by decoding twice.

    PIL keeps the upper byte of each sample according to the byte order in the raw mode. With the
    opposite byte order it keeps the lower byte.
    """
    if raw == "LA;16B":  # has four bytes per pixel and can be decoded as RGBA
        four = _decode(path, formats, page, "RGBA").astype(np.uint16)
        return four[..., ::2] << 8 | four[..., 1::2]
    kind, order = raw.split(";16")
    order = _NATIVE if order == "N" else order
    # As RGBa, PIL would divide by the opacity in 8 bits.
    kind = "RGBA" if kind == "RGBa" else kind
    upper = _decode(path, formats, page, f"{kind};16{order}").astype(np.uint16)
    lower = _decode(path, formats, page, f"{kind};16{'L' if order == 'B' else 'B'}")
    return upper << 8 | lower


def _decode(path: Path, formats: tuple[str, ...], page: int, raw: str) -> np.ndarray:
    with PilImage.open(path, formats=formats) as picture:
        if page:
            picture.seek(page)
        tiles = []
        for tile in picture.tile:  # pyright: ignore[reportAttributeAccessIssue]
            args = (raw, *tile.args[1:]) if isinstance(tile.args, tuple) else raw
            tiles.append(tile._replace(args=args))
        picture.tile = tiles  # pyright: ignore[reportAttributeAccessIssue]
        return _turn_upright(picture)


def _turn_upright(picture: PilImage.Image) -> np.ndarray:
    picture.load()
    with contextlib.suppress(Exception):  # the pixels are valid even if the metadata is broken
        picture = ImageOps.exif_transpose(picture)
    return np.asarray(picture)
