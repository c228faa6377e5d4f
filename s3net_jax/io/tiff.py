"""TIFF pages that PIL does not open or would change: deep, signed, in separate planes."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL.TiffImagePlugin import PREFIXES, ImageFileDirectory_v2

from s3net_jax.io.errors import InputError

__all__ = [
    "Page",
    "deep_pages",
    "describe",
    "left_out",
    "pages_of",
    "samples_of",
    "white_is_zero",
]

_RAW, _DEFLATE = 1, (8, 32946)
_KINDS = {1: "u", 2: "i", 3: "f", 4: "u"}  # SampleFormat
_MAX_RATIO = 1100  # deflate can't shrink more than 1032 times


@dataclass(frozen=True)
class Page:
    """How the numbers of a page lie in its file.

    Attributes:
      shape: (H, W) as stored, before the orientation.
      samples: numbers a pixel, of which ``colors`` (1 or 3) are grey or RGB.
      dtype: of the numbers, with the file's byte order.
      separate: whether each sample has a plane of its own.
      white_is_zero: whether grey falls from white.
      opacity: whether an 8-bit fourth sample is opacity.
      orientation: 1 to 8, as in EXIF.
      compression, predictor: TIFF's numbers.
      chunk: (h, w) of a tile, or of a strip.
      tiled: tiles are always whole, the last strip is not.
      offsets, counts: places and lengths of the chunks in the file; no lengths: as many bytes as
        it takes.
    """

    shape: tuple[int, int]
    samples: int
    colors: int
    dtype: np.dtype[Any]
    separate: bool
    white_is_zero: bool
    opacity: bool
    orientation: int
    compression: int
    predictor: int
    chunk: tuple[int, int]
    tiled: bool
    offsets: tuple[int, ...]
    counts: tuple[int, ...]

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
    with path.open("rb") as file:
        return [_page(tags, str(path)) for tags in _directories(file)]


def deep_pages(path: Path, pages: list[Page]) -> np.ndarray:
    """(pages, H, W) or (pages, H, W, 3 or 4), upright, in the machine's byte order.

    Numbers are as stored, but 16-bit colour keeps its upper 8 bits, as it does through PIL.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        return np.stack([_pixels(file, page, size) for page in pages])


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
        with path.open("rb") as file:
            tags = next(_directories(file), None)
        if tags is None:
            return None
        bits, kinds = tags.get(258, (1,)), tags.get(339, (1,))
        kind = {2: "signed ", 3: "floating point "}.get(kinds[0], "")
        samples = int(tags.get(277, 1))
        channels = "1 channel" if samples == 1 else f"{samples} channels"
        return f"{channels} of {bits[0]}-bit {kind}numbers, compression {tags.get(259, _RAW)}"
    except Exception:
        return None


def _directories(file: BinaryIO) -> Iterator[Any]:
    """The tags of each page."""
    head = file.read(8)
    if not head.startswith(tuple(PREFIXES)):
        return
    if 43 in head[2:4]:  # BigTIFF
        head += file.read(8)
    tags = ImageFileDirectory_v2(head)
    seen = set()
    while tags.next and tags.next not in seen:
        place = tags.next
        seen.add(place)
        file.seek(place)
        tags = ImageFileDirectory_v2(head)
        tags.load(file)
        yield tags


def _page(tags: Any, name: str) -> Page | None:
    samples = int(tags.get(277, 1))
    bits, kinds = set(tags.get(258, (1,))), set(tags.get(339, (1,)))
    photometric, separate = tags.get(262, 0), samples > 1 and tags.get(284, 1) == 2
    if len(bits) != 1 or len(kinds) != 1 or photometric not in (0, 1, 2):
        return None
    (bit,), (kind,) = bits, kinds
    if bit not in (8, 16, 32, 64) or kind not in _KINDS:
        return None
    letter = _KINDS[kind]
    if letter == "u" and not separate and (bit == 8 or (bit == 16 and photometric == 2)):
        return None  # PIL reads them well
    order = "<" if tags.prefix.startswith(b"I") else ">"
    if letter + str(bit) == "f8":
        return None
    dtype = np.dtype(f"{order}{letter}{bit // 8}")
    compression, predictor = tags.get(259, _RAW), tags.get(317, 1)
    if compression not in (_RAW, *_DEFLATE) or predictor not in (1, 2, 3) or tags.get(266, 1) != 1:
        _check_pil(dtype, name)
        return None
    shape = int(tags[257]), int(tags[256])
    tiled = 324 in tags
    chunk = (int(tags[323]), int(tags[322])) if tiled else (int(tags.get(278, shape[0])), shape[1])
    offsets, counts = (tags[324], tags.get(325)) if tiled else (tags[273], tags.get(279))
    colors = 3 if samples >= 3 and (photometric == 2 or samples == 3) else 1
    extra = tags.get(338, ())
    return Page(
        shape,
        samples,
        colors,
        dtype,
        separate,
        photometric == 0,
        bit == 8 and letter == "u" and samples == 4 and colors == 3 and tuple(extra) == (2,),
        int(tags.get(274, 1)),
        compression,
        predictor,
        (min(chunk[0], shape[0]) if not tiled else chunk[0], chunk[1]),
        tiled,
        tuple(offsets),
        tuple(counts or ()),
    )


def _check_pil(dtype: np.dtype[Any], name: str) -> None:
    """PIL opens a few kinds of numbers as others, or with their bytes swapped."""
    kind = dtype.kind + str(dtype.itemsize)
    swapped = dtype.str.startswith(">") and kind in ("i2", "i4", "f4")
    if swapped or kind in ("i1", "u4"):
        raise InputError(
            f"{name} is a TIFF of {dtype.name} numbers whose compression is not "
            "read: save it uncompressed or with deflate."
        )


def _pixels(file: BinaryIO, page: Page, size: int) -> np.ndarray:
    (height, width), item = page.shape, page.dtype.itemsize
    needed = height * width * page.samples * item
    if needed > (size if page.compression == _RAW else size * _MAX_RATIO):
        raise ValueError(f"it claims {needed:,} bytes of pixels, the file has {size:,}")
    rows, columns = page.chunk
    down, across = math.ceil(height / max(rows, 1)), math.ceil(width / max(columns, 1))
    planes, depth = (page.samples, 1) if page.separate else (1, page.samples)
    if rows < 1 or columns < 1 or len(page.offsets) != planes * down * across:
        raise ValueError(f"it has {len(page.offsets)} pieces, which do not make up its size")
    result = np.empty((planes, height, width, depth), page.dtype.newbyteorder("="))
    for number, offset in enumerate(page.offsets):
        plane, place = divmod(number, down * across)
        y, x = place // across * rows, place % across * columns
        high = rows if page.tiled else min(rows, height - y)
        shape = high, columns, depth
        file.seek(offset)
        content = file.read(page.counts[number] if number < len(page.counts) else -1)
        part = _unpredicted(_expanded(content, page, math.prod(shape) * item), shape, page)
        result[plane, y : y + high, x : x + columns] = part[: height - y, : width - x]
    pixels = np.moveaxis(result, 0, -2).reshape(height, width, page.samples)
    pixels = _upright(pixels[..., : page.bands], page.orientation)
    if page.colors == 1:
        return pixels[..., 0]
    return (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels


def _expanded(content: bytes, page: Page, length: int) -> bytes:
    if page.compression != _RAW:  # never more than there is room for
        content = zlib.decompressobj().decompress(content, max(length, 1))
    if len(content) < length:
        raise ValueError("its pixels end early")
    return content[:length]


def _unpredicted(content: bytes, shape: tuple[int, int, int], page: Page) -> np.ndarray:
    """The numbers (h, w, samples) of a chunk."""
    rows, columns, depth = shape
    item, dtype = page.dtype.itemsize, page.dtype
    if page.predictor == 3 and dtype.kind == "f":  # differences of bytes, the highest first
        steps = np.frombuffer(content, np.uint8).reshape(rows, columns * item, depth)
        planes = np.add.accumulate(steps, 1, np.uint8).reshape(rows, item, columns * depth)
        return (
            np.ascontiguousarray(planes.swapaxes(1, 2)).view(dtype.newbyteorder(">")).reshape(shape)
        )
    numbers = np.frombuffer(content, dtype).reshape(shape).astype(dtype.newbyteorder("="))
    if page.predictor == 1:
        return numbers
    whole = np.dtype(f"u{item}")
    return np.add.accumulate(numbers.view(whole), 1, whole).view(numbers.dtype)


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels[:, ::-1] if orientation in (2, 3, 6, 7) else pixels
