"""Describe the samples of a TIFF page, and decide whether tifffile or PIL reads them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from s3net_jax.errors import InputError

__all__ = ["Page", "describe_page", "name_compression"]

_OPACITY, _PREMULTIPLIED = 2, 1  # values of the tag ExtraSamples


@dataclass(frozen=True)
class Page:
    """Sample format of a page.

    Attributes:
      shape: (H, W) as stored, before the orientation is applied.
      samples: number of samples stored per pixel.
      colors: number of colour samples that are read: 1 (grey) or 3 (RGB).
      dtype: type of the stored samples, with the byte order of the file.
      palette: whether samples are indices into a palette.
      white_is_zero: whether 0 means white.
      opacity: whether the sample after the colours is the opacity.
      premultiplied: whether the colours are multiplied by the opacity.
      orientation: orientation tag, 1 to 8 as in EXIF.
    """

    shape: tuple[int, int]
    samples: int
    colors: int
    dtype: np.dtype[Any]
    palette: bool
    white_is_zero: bool
    opacity: bool
    premultiplied: bool
    orientation: int

    @property
    def bands(self) -> int:
        """Number of samples per pixel that are read."""
        return 1 if self.palette else self.colors + self.opacity

    @property
    def mode(self) -> str:
        """NumPy dtype name of the samples."""
        return self.dtype.newbyteorder("=").name

    @property
    def kind(self) -> tuple[Any, ...]:
        """Key that is equal for pages that can form one stack."""
        return (
            self.shape,
            self.samples,
            self.colors,
            self.dtype,
            self.palette,
            self.white_is_zero,
            self.opacity,
            self.orientation > 4,
        )


def describe_page(page: Any, plain: bool, name: str) -> Page | None:
    """Describe a page that tifffile must read; return None if PIL can, or if neither can.

    Args:
      page: tifffile.TiffPage.
      plain: whether PIL can access the page and all of its pixels.
      name: name of the file in errors.

    Raises:
      InputError: PIL would change the samples, and tifffile lacks a decoder.
    """
    samples, bits = int(page.samplesperpixel), int(page.bitspersample)
    photometric, separate = int(page.photometric), page.axes.endswith("SYX")
    if photometric not in (0, 1, 2, 3) or page.dtype is None:
        return None
    if page.axes.removeprefix("Z") not in ("YX", "YXS", "SYX"):
        return None
    dtype = np.dtype(f"{page.parent.byteorder}{page.dtype.kind}{page.dtype.itemsize}")
    palette = photometric == 3
    if dtype.kind not in "uif" or not (8 * dtype.itemsize == bits or _is_unpacked(page, dtype)):
        return None
    if palette and (dtype.kind != "u" or bits > 16 or page.colormap is None or samples != 1):
        return None
    if dtype.kind == "u" and not separate and bits == 8 and plain:
        return None  # PIL reads 8-bit samples correctly
    if not _is_decodable(page):
        _check_pil(dtype, page.compression, separate, name)
        return None
    colors = 3 if palette or (samples >= 3 and (photometric == 2 or samples == 3)) else 1
    # Only the tag ExtraSamples distinguishes opacity from another channel.
    extra = tuple(page.extrasamples)[:1] if samples == colors + 1 and dtype.kind == "u" else ()
    orientation = page.tags.get("Orientation")
    return Page(
        (int(page.imagelength), int(page.imagewidth)),
        samples,
        colors,
        dtype,
        palette,
        photometric == 0,
        extra in ((_OPACITY,), (_PREMULTIPLIED,)) and dtype.itemsize <= 2,
        extra == (_PREMULTIPLIED,),
        1 if orientation is None else int(orientation.value),
    )


def _is_unpacked(page: Any, dtype: np.dtype[Any]) -> bool:
    """Return whether packed samples of 9 to 15 bits can be decoded, which needs imagecodecs."""
    bits = int(page.bitspersample)
    return (
        dtype.kind == "u" and 8 < bits < 8 * dtype.itemsize and find_spec("imagecodecs") is not None
    )


def _is_decodable(page: Any) -> bool:
    """Return whether tifffile can decode the page; some compressions need imagecodecs."""
    from tifffile import TIFF

    try:
        return page.compression in TIFF.DECOMPRESSORS and page.predictor in TIFF.UNPREDICTORS
    except KeyError:
        return False


def _check_pil(dtype: np.dtype[Any], compression: Any, separate: bool, name: str) -> None:
    """Raise :class:`InputError` for samples that PIL would misread.

    PIL reads some types as others, with swapped bytes, or with only 8 bits.
    """
    kind = dtype.kind + str(dtype.itemsize)
    swapped = dtype.str.startswith(">") and kind in ("i2", "i4", "f4")
    if swapped or kind in ("i1", "u4") or (separate and dtype.itemsize > 1):
        raise InputError(
            f"{name} is a TIFF with {dtype.name} samples in the unsupported compression "
            f"{name_compression(compression)}: save it uncompressed or with deflate, or pip "
            "install imagecodecs."
        )


def name_compression(compression: Any) -> str:
    """Return tifffile's name of a compression."""
    return str(getattr(compression, "name", compression))
