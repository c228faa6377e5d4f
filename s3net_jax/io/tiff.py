"""TIFF pages that PIL does not open or would change: deep, signed, in separate planes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from s3net_jax.io.errors import InputError
from s3net_jax.io.quiet import quiet
from s3net_jax.io.tiff_limits import check_directories, check_page, read_page

if TYPE_CHECKING:
    import tifffile

__all__ = [
    "Page",
    "deep_pages",
    "describe",
    "left_out",
    "pages_of",
    "samples_of",
    "white_is_zero",
]

_MAX_RATIO = 1100  # deflate can't shrink more than 1032 times
_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


@dataclass(frozen=True)
class Page:
    """What the numbers of a page are.

    Attributes:
      index: in its file.
      shape: (H, W) as stored, before the orientation.
      samples: numbers a pixel, of which ``colors`` (1 or 3) are grey or RGB.
      dtype: of the numbers, with the file's byte order.
      white_is_zero: whether grey falls from white.
      opacity: whether an 8-bit fourth sample is opacity.
      orientation: 1 to 8, as in EXIF.
    """

    index: int
    shape: tuple[int, int]
    samples: int
    colors: int
    dtype: np.dtype[Any]
    white_is_zero: bool
    opacity: bool
    orientation: int

    @property
    def bands(self) -> int:
        """Samples that are read."""
        return self.colors + self.opacity

    @property
    def mode(self) -> str:
        """What the numbers are."""
        return self.dtype.newbyteorder("=").name

    @property
    def kind(self) -> tuple[Any, ...]:
        """Equal for pages that can be one stack."""
        return self.shape, self.samples, self.colors, self.dtype, self.white_is_zero, self.opacity


def pages_of(path: Path) -> list[Page | None]:
    """Every page of a file; None for one that is PIL's, no pages for a file that is no TIFF.

    Raises:
      InputError: a page whose numbers PIL would change, in a compression that is not read here.
      Exception: whatever broken data leads to.
    """
    if not _is_tiff(path):
        return []
    check_directories(path)
    with _opened(path) as file:
        pages: dict[int, Page | None] = {}
        for page in file.pages:
            if page.offset in pages:
                raise ValueError("its pages go round in a circle")
            pages[page.offset] = _page(page, len(pages), str(path))
        _check_end(file)
    return list(pages.values())


def deep_pages(path: Path, pages: list[Page]) -> np.ndarray:
    """(pages, H, W) or (pages, H, W, 3 or 4), upright, in the machine's byte order.

    Numbers are as stored, but 16-bit colour keeps its upper 8 bits, as it does through PIL.
    """
    size, name = path.stat().st_size, str(path)
    with _opened(path) as file:
        check_page(file.pages[pages[0].index], name, path, len(pages))
        return np.stack([_pixels(file.pages[page.index], page, size, name) for page in pages])


def left_out(samples: int, bands: int, name: str) -> list[str]:
    """A note if only ``bands`` of the samples of each pixel are read."""
    if samples <= bands:
        return []
    kept = "the first is" if bands == 1 else f"the first {bands} are"
    return [f"{name} has {samples} channels; only {kept} segmented."]


def samples_of(picture: Any) -> int:
    """Numbers that the TIFF file of a PIL image has for each pixel; 0 of others."""
    tags = getattr(picture, "tag_v2", None)
    return 0 if tags is None else int(tags.get(277, 1))


def white_is_zero(picture: Any) -> bool:
    """Whether a deep grey TIFF that PIL opened stores white as 0: it turns only 8 bits round."""
    tags = getattr(picture, "tag_v2", None)
    deep = picture.mode in ("I", "F") or picture.mode.startswith("I;16")
    return bool(deep and tags is not None and tags.get(262) == 0)


def describe(path: Path) -> str | None:
    """What the first page of a TIFF file holds, as far as its tags say; None of other files."""
    try:
        if not _is_tiff(path):
            return None
        with _opened(path) as file:
            page: Any = file.pages[0]
            kind = {2: "signed ", 3: "floating point "}.get(page.sampleformat, "")
            samples = page.samplesperpixel
            channels = "1 channel" if samples == 1 else f"{samples} channels"
            return (
                f"{channels} of {page.bitspersample}-bit {kind}numbers, "
                f"compression {_name(page.compression)}"
            )
    except Exception:
        return None


def _is_tiff(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in _MAGIC


@contextmanager
def _opened(path: Path) -> Iterator[tifffile.TiffFile]:
    import tifffile

    log = logging.getLogger("tifffile")  # is told of everything that it makes the best of
    with quiet():
        level = log.level
        log.setLevel(logging.CRITICAL + 1)
        try:
            with tifffile.TiffFile(path) as file:
                yield file
        finally:
            log.setLevel(level)


def _check_end(file: tifffile.TiffFile) -> None:
    """Raises ValueError if a further page should follow that the file does not have any more:
    tifffile gives those before it."""
    handle = file.filehandle
    handle.seek(file.pages.next_page_offset or 0)
    order = "little" if file.byteorder == "<" else "big"
    if int.from_bytes(handle.read(file.tiff.offsetsize), order) >= handle.size:
        raise ValueError("its pages end early")


def _page(page: Any, index: int, name: str) -> Page | None:
    samples, bits = int(page.samplesperpixel), int(page.bitspersample)
    photometric, separate = int(page.photometric), page.axes == "SYX"
    if photometric not in (0, 1, 2) or page.dtype is None or page.axes not in ("YX", "YXS", "SYX"):
        return None
    dtype = np.dtype(f"{page.parent.byteorder}{page.dtype.kind}{page.dtype.itemsize}")
    if dtype.kind not in "uif" or 8 * dtype.itemsize != bits:
        return None
    if dtype.kind == "u" and not separate and (bits == 8 or (bits == 16 and photometric == 2)):
        return None  # PIL reads them well
    if not _can_be_decoded(page):
        _check_pil(dtype, page.compression, name)
        return None
    colors = 3 if samples >= 3 and (photometric == 2 or samples == 3) else 1
    orientation = page.tags.get("Orientation")
    return Page(
        index,
        (int(page.imagelength), int(page.imagewidth)),
        samples,
        colors,
        dtype,
        photometric == 0,
        dtype.kind == "u" and bits == 8 and samples == 4 and tuple(page.extrasamples) == (2,),
        1 if orientation is None else int(orientation.value),
    )


def _can_be_decoded(page: Any) -> bool:
    """Whether tifffile does it: without imagecodecs there are compressions that it does not."""
    from tifffile import TIFF

    try:
        return page.compression in TIFF.DECOMPRESSORS and page.predictor in TIFF.UNPREDICTORS
    except KeyError:
        return False


def _check_pil(dtype: np.dtype[Any], compression: Any, name: str) -> None:
    """PIL opens a few kinds of numbers as others, or with their bytes swapped."""
    kind = dtype.kind + str(dtype.itemsize)
    swapped = dtype.str.startswith(">") and kind in ("i2", "i4", "f4")
    if swapped or kind in ("i1", "u4"):
        raise InputError(
            f"{name} is a TIFF of {dtype.name} numbers whose compression, {_name(compression)}, is "
            "not read: save it uncompressed or with deflate, or pip install imagecodecs."
        )


def _name(compression: Any) -> str:
    return str(getattr(compression, "name", compression))


def _pixels(stored: Any, page: Page, size: int, name: str) -> np.ndarray:
    claimed, compressed = stored.nbytes, int(stored.compression) != 1
    if claimed > size * (_MAX_RATIO if compressed else 1):
        raise ValueError(f"it claims {claimed:,} bytes of pixels, the file has {size:,}")
    pieces = zip(stored.dataoffsets, stored.databytecounts, strict=True)
    if any(offset + count > size for offset, count in pieces):
        raise ValueError("its pixels end early")
    pixels = read_page(stored, name)
    if stored.axes == "SYX":
        pixels = np.moveaxis(pixels, 0, -1)
    pixels = pixels.reshape(*page.shape, page.samples)[..., : page.bands]
    pixels = _upright(pixels.astype(page.dtype.newbyteorder("="), copy=False), page.orientation)
    if page.colors == 1:
        return pixels[..., 0]
    return (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels[:, ::-1] if orientation in (2, 3, 6, 7) else pixels
