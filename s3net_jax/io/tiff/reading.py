"""Read TIFF pages that PIL rejects or changes: deep, signed or planar samples."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from s3net_jax.io.quiet import silence_warnings
from s3net_jax.io.tiff.axes import Plane, select_planes
from s3net_jax.io.tiff.limits import check_directories, check_page, read_page
from s3net_jax.io.tiff.page import Page, describe_page, name_compression

if TYPE_CHECKING:
    import tifffile

__all__ = [
    "Contents",
    "Page",
    "count_samples",
    "describe",
    "is_tiff",
    "is_white_zero",
    "note_left_out",
    "read_contents",
    "read_planes",
]

_MAX_RATIO = 1100  # just above 1032, the highest compression ratio of deflate
_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


@dataclass(frozen=True)
class Contents:
    """The pictures of a TIFF file that are segmented.

    Attributes:
      planes: positions of the pictures in the file.
      pages: description of each picture's page; None for pages that PIL reads correctly.
      parts: number of pictures stored behind each page.
      notes: sentences about what else the file contains.
    """

    planes: tuple[Plane, ...]
    pages: tuple[Page | None, ...]
    parts: int
    notes: tuple[str, ...]


def read_contents(path: Path) -> Contents | None:
    """Read which pictures a TIFF file contains; return None for other files.

    Raises:
      InputError: PIL would change the samples of a page, and its compression is not supported by
        tifffile.
      Exception: any exception from tifffile for broken data.
    """
    if not is_tiff(path):
        return None
    name = str(path)
    check_directories(path)
    with _open(path) as file:
        pages: dict[int, Any] = {}
        for page in file.pages:
            if page.offset in pages:
                raise ValueError("its pages form a loop")
            pages[page.offset] = page
        _check_end(file)
        stored = list(pages.values())
        with _open(path, as_stream=True) as other:  # reading series changes a file's pages
            chosen = select_planes(other, stored, name)
        # PIL reads only the first of several pictures behind a page, and stops at a mask.
        plain = chosen.parts == 1 and not any(page.photometric == 4 for page in stored)
        read = {n: describe_page(stored[n], plain, name) for n in {p.page for p in chosen.planes}}
    found = tuple(read[plane.page] for plane in chosen.planes)
    return Contents(chosen.planes, found, chosen.parts, chosen.notes)


def read_planes(path: Path, contents: Contents, numbers: Sequence[int]) -> np.ndarray:
    """Read planes of a file with tifffile.

    Args:
      path: path of the file.
      contents: result of :func:`read_contents`.
      numbers: indices into ``contents.planes``.

    Returns:
      Unscaled upright samples in native byte order, (planes, H, W), or (planes, H, W, bands) for
      colours and for pages with opacity.
    """
    size, name = path.stat().st_size, str(path)
    result, volumes = None, {}
    with _open(path) as file:
        first = file.pages[contents.planes[numbers[0]].page]
        _check_claim(first, size)
        check_page(first, name, path, len(numbers))
        for place, number in enumerate(numbers):
            plane, page = contents.planes[number], contents.pages[number]
            assert page is not None
            stored: Any = file.pages[plane.page]
            if stored.axes.startswith("Z"):
                if plane.page not in volumes:
                    volumes = {plane.page: _read_whole(stored, size, name)}
                pixels = volumes[plane.page][plane.part]
            elif contents.parts > 1:
                pixels = _read_part(file, stored, plane, size)
            else:
                pixels = _read_whole(stored, size, name)
            pixels = _finish(pixels, stored, page)
            if result is None:
                result = np.empty((len(numbers), *pixels.shape), pixels.dtype)
            result[place] = pixels
    assert result is not None
    return result


def note_left_out(samples: int, bands: int, name: str) -> list[str]:
    """Return a note if only ``bands`` of the samples of each pixel are read."""
    if samples <= bands:
        return []
    kept = "the first is" if bands == 1 else f"the first {bands} are"
    return [f"{name} has {samples} channels; only {kept} segmented."]


def count_samples(picture: Any) -> int:
    """Return the number of samples per pixel of a TIFF file opened by PIL; 0 for other formats."""
    tags = getattr(picture, "tag_v2", None)
    return 0 if tags is None else int(tags.get(277, 1))


def is_white_zero(picture: Any) -> bool:
    """Return whether a deep grey TIFF opened by PIL stores white as 0; PIL inverts only 8 bits."""
    tags = getattr(picture, "tag_v2", None)
    deep = picture.mode in ("I", "F") or picture.mode.startswith("I;16")
    return bool(deep and tags is not None and tags.get(262) == 0)


def describe(path: Path) -> str | None:
    """Describe the sample format of the first page in words; return None if that is unknown."""
    try:
        if not is_tiff(path):
            return None
        with _open(path) as file:
            page: Any = file.pages[0]
            kind = {2: "signed ", 3: "floating point "}.get(page.sampleformat, "")
            samples = page.samplesperpixel
            channels = "1 channel" if samples == 1 else f"{samples} channels"
            return (
                f"{channels} of {page.bitspersample}-bit {kind}numbers, "
                f"compression {name_compression(page.compression)}"
            )
    except Exception:
        return None


def is_tiff(path: Path) -> bool:
    """Return whether a file has the magic bytes of TIFF or BigTIFF."""
    with path.open("rb") as file:
        return file.read(4) in _MAGIC


class _Alone(io.BufferedReader):
    """A file that looks to tifffile like a stream without a path."""

    def fileno(self) -> int:
        raise OSError("a stream")


@contextmanager
def _open(path: Path, as_stream: bool = False) -> Iterator[tifffile.TiffFile]:
    """Open a TIFF file with tifffile, without its log messages.

    Args:
      path: path of the file.
      as_stream: whether to open it as a stream, so that tifffile opens no other files: OME metadata
        may name files anywhere on the disk.
    """
    import tifffile

    log = logging.getLogger("tifffile")  # logs every irregularity that it works around
    with silence_warnings():
        level = log.level
        log.setLevel(logging.CRITICAL + 1)
        try:
            if not as_stream:
                with tifffile.TiffFile(path) as file:
                    yield file
                return
            with path.open("rb") as raw, tifffile.TiffFile(_Alone(raw), name=path.name) as file:
                yield file
        finally:
            log.setLevel(level)


def _check_end(file: tifffile.TiffFile) -> None:
    """Raise ValueError if the next page would be beyond the end of the file.

    tifffile silently returns only the pages before it.
    """
    handle = file.filehandle
    handle.seek(file.pages.next_page_offset or 0)
    order = "little" if file.byteorder == "<" else "big"
    if int.from_bytes(handle.read(file.tiff.offsetsize), order) >= handle.size:
        raise ValueError("its pages end early")


def _finish(pixels: np.ndarray, stored: Any, page: Page) -> np.ndarray:
    """Return upright pixels, (H, W), or (H, W, bands) for colours or with opacity."""
    if stored.axes.endswith("SYX"):
        pixels = np.moveaxis(pixels, 0, -1)
    pixels = pixels.reshape(*page.shape, page.samples)[..., : page.bands]
    pixels = _turn_upright(
        pixels.astype(page.dtype.newbyteorder("="), copy=False), page.orientation
    )
    if page.palette:
        return (np.moveaxis(stored.colormap, 0, -1)[pixels[..., 0]] >> 8).astype(np.uint8)
    return pixels[..., 0] if page.bands == 1 else pixels


def _read_part(file: tifffile.TiffFile, stored: Any, plane: Plane, size: int) -> np.ndarray:
    """Read one of several uncompressed pictures stored consecutively behind one page."""
    start = min(stored.dataoffsets) + plane.part * stored.nbytes
    if not stored.is_contiguous or start + stored.nbytes > size:
        raise ValueError("its pixels end early")
    file.filehandle.seek(start)
    dtype = np.dtype(f"{file.byteorder}{stored.dtype.kind}{stored.dtype.itemsize}")
    content = file.filehandle.read(stored.nbytes)
    return np.frombuffer(content, dtype).reshape(stored.shape)


def _check_claim(stored: Any, size: int) -> None:
    """Raise ValueError if a page claims more pixels than a file of ``size`` bytes can contain."""
    compressed = int(stored.compression) != 1
    claimed = stored.nbytes * int(stored.bitspersample) // (8 * stored.dtype.itemsize)
    if claimed > size * (_MAX_RATIO if compressed else 1):
        raise ValueError(f"it claims {claimed:,} bytes of pixels, the file has {size:,}")


def _read_whole(stored: Any, size: int, name: str) -> np.ndarray:
    _check_claim(stored, size)
    pieces = zip(stored.dataoffsets, stored.databytecounts, strict=True)
    if any(offset + count > size for offset, count in pieces):
        raise ValueError("its pixels end early")
    return read_page(stored, name)


def _turn_upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels[:, ::-1] if orientation in (2, 3, 6, 7) else pixels
