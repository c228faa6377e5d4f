"""Enforce the limits on TIFF files.

Directories are counted before any library parses them, and compressed strips and tiles are unpacked
no further than the size of their pixels.
"""

from __future__ import annotations

import lzma
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from s3net_jax.errors import InputError
from s3net_jax.io.codestream import check_stream
from s3net_jax.io.limits import check_bytes, check_pages, check_pixels, measure_stored_bytes

__all__ = ["check_directories", "check_page", "read_page"]

# TIFF tags.
_WIDTH, _HEIGHT, _BITS, _SAMPLES = 256, 257, 258, 277
_TILE_WIDTH, _TILE_HEIGHT = 322, 323
_WANTED = (_WIDTH, _HEIGHT, _BITS, _SAMPLES, _TILE_WIDTH, _TILE_HEIGHT)

_ENTRIES = 4096  # largest number of tags per directory: usual are 10 to 100, possible 65,535
# A tile up to this many bytes, or up to four times its image, may be larger than the image, because
# tiles are padded; they are rarely larger than 4096×4096 with 8 bits (16 MiB).
_TILE = 128 << 20

_DEFLATE = (8, 32946, 50013)
_LZMA = 34925
_LZMA_MEMORY = 256 << 20  # bytes; a header may request a 4 GB dictionary, xz -9 needs 65 MB


@dataclass(frozen=True)
class _Layout:
    """Byte order (for struct) and variant of a file: classic TIFF or BigTIFF."""

    order: str
    big: bool

    def unpack(self, data: bytes, kind: str) -> tuple[int, ...]:
        return struct.unpack(self.order + kind, data)


def check_directories(path: Path) -> None:
    """Check the page directories of a TIFF file; accept other files.

    Only the directories are read, about 100 bytes per page.

    Raises:
      InputError: the file has too many pages, a loop of pages, or images or tiles that exceed the
        limits.
    """
    name, size = str(path), path.stat().st_size
    with path.open("rb") as file:
        layout = _find_layout(file.read(4))
        if layout is None:
            return
        kind, place = ("Q", 8) if layout.big else ("I", 4)
        file.seek(place)
        width = struct.calcsize(kind)
        seen: set[int] = set()
        offset = _read_number(file, layout, kind, width)
        while offset and offset < size:  # the readers report an offset beyond the end
            if offset in seen:
                raise InputError(
                    f"{name} is broken or cut off (its pages form a loop): copy or export the file "
                    "again."
                )
            seen.add(offset)
            check_pages(name, len(seen))
            file.seek(offset)
            tags = _read_directory(file, layout, name)
            _check_tags(tags, name, size)
            offset = _read_number(file, layout, kind, width)


def _find_layout(magic: bytes) -> _Layout | None:
    order = {b"II": "<", b"MM": ">"}.get(magic[:2])
    if order is None or len(magic) < 4:
        return None
    version = struct.unpack(order + "H", magic[2:])[0]
    return _Layout(order, version == 43) if version in (42, 43) else None


def _read_number(file: BinaryIO, layout: _Layout, kind: str, width: int) -> int:
    data = file.read(width)
    return layout.unpack(data, kind)[0] if len(data) == width else 0


def _read_directory(file: BinaryIO, layout: _Layout, name: str) -> dict[int, int]:
    """Read the tags in ``_WANTED`` from the directory at the current position, if they are numbers.

    Only the first value of each tag is read, and only if it is stored inline.
    """
    count = _read_number(file, layout, "Q" if layout.big else "H", 8 if layout.big else 2)
    if count > _ENTRIES:
        raise InputError(
            f"{name} is broken or cut off (a page claims {count:,} tags): copy or export the file "
            "again."
        )
    entry = 20 if layout.big else 12
    data = file.read(count * entry)
    found: dict[int, int] = {}
    for start in range(0, len(data) - entry + 1, entry):
        tag, kind = layout.unpack(data[start : start + 4], "HH")
        value = data[start + entry - (8 if layout.big else 4) : start + entry]
        form = {1: "B", 3: "H", 4: "I", 16: "Q"}.get(kind)
        if tag in _WANTED and form and struct.calcsize(form) <= len(value):
            found.setdefault(tag, layout.unpack(value[: struct.calcsize(form)], form)[0])
    return found


def _check_tags(tags: dict[int, int], name: str, size: int) -> None:
    width, height = tags.get(_WIDTH, 0), tags.get(_HEIGHT, 0)
    check_pixels(name, width, height)
    across, down = tags.get(_TILE_WIDTH, 0), tags.get(_TILE_HEIGHT, 0)
    bits = tags.get(_BITS, 8)
    each = tags.get(_SAMPLES, 1) * max(1, (bits if bits <= 128 else 8) // 8)
    if across * down * each > max(_TILE, 4 * width * height * each):
        raise InputError(
            f"{name} is broken or cut off (its tiles have {across}×{down} pixels, its image only "
            f"{width}×{height}): copy or export the file again."
        )


def check_page(stored: Any, name: str, path: Path, pages: int = 1) -> None:
    """Raise :class:`InputError` if reading ``pages`` pages like ``stored`` takes too much memory.

    The estimate includes the unpacked samples, one copy of them, and two float32 arrays (the
    values and their scaled version).
    """
    if int(stored.compression) == 1 and int(stored.nbytes) > path.stat().st_size:
        return  # truncated; the reader reports it
    pixels = int(stored.imagewidth) * int(stored.imagelength) * int(stored.imagedepth)
    check_bytes(name, pages * (2 * int(stored.nbytes) + 8 * pixels), measure_stored_bytes(path))


def read_page(stored: Any, name: str) -> np.ndarray:
    """Return the samples of a tifffile page like its ``asarray``, with bounded memory.

    Every compressed strip or tile is unpacked once and no further than its pixels.

    Raises:
      InputError: an embedded picture is larger than its tile.
      Exception: any exception from the decoders for broken data.
    """
    compression = int(stored.compression)
    if 0 in stored.shaped or compression not in (*_DEFLATE, _LZMA):
        if compression != 1:  # tifffile limits the output of its other codecs itself
            _check_pieces(stored, name)
        return stored.asarray()
    reverse = int(getattr(stored, "fillorder", 1)) == 2
    # tifffile handles the rest from unpacked bytes: predictor, byte order, place in the image.
    stored.compression = 1
    result = np.zeros(stored.shaped, stored.dtype)
    for index, data in enumerate(_read_pieces(stored)):
        if data is None:
            continue
        shape = stored.decode(None, index)[2]
        row = int(shape[2]) * int(shape[3]) * int(stored.bitspersample)
        size = int(shape[0]) * int(shape[1]) * -(-row // 8)
        raw = _unpack(data.translate(_REVERSED) if reverse else data, compression, size)
        piece, place, _ = stored.decode(raw.translate(_REVERSED) if reverse else raw, index)
        s, d, h, w, _ = place
        target = result[s, d : d + piece.shape[0], h : h + piece.shape[1], w : w + piece.shape[2]]
        target[...] = piece[: target.shape[0], : target.shape[1], : target.shape[2]]
    return result.reshape(stored.shape)


_REVERSED = bytes(int(f"{n:08b}"[::-1], 2) for n in range(256))


def _read_pieces(stored: Any) -> Iterator[bytes | None]:
    """Yield the stored bytes of every strip or tile, or None for an empty one."""
    handle = stored.parent.filehandle
    for offset, count in zip(stored.dataoffsets, stored.databytecounts, strict=True):
        if offset == 0 or count == 0:
            yield None
            continue
        handle.seek(offset)
        yield handle.read(count)


def _unpack(data: bytes, compression: int, size: int) -> bytes:
    """Unpack at most ``size`` bytes; further data of a strip are never unpacked."""
    if compression == _LZMA:
        return lzma.LZMADecompressor(memlimit=_LZMA_MEMORY).decompress(data, size)
    engine = zlib.decompressobj()
    raw = engine.decompress(data, size)
    if not engine.eof and len(raw) == size:
        engine.decompress(engine.unconsumed_tail, 1)  # verifies the checksum if the data end here
    return raw


def _check_pieces(stored: Any, name: str) -> None:
    """Raise :class:`InputError` if an embedded picture is larger than its strip or tile."""
    tiled = stored.is_tiled
    width = int(stored.tilewidth if tiled else stored.imagewidth)
    height = int(stored.tilelength if tiled else stored.rowsperstrip)
    for data in _read_pieces(stored):
        if data is not None:
            check_stream(data, name, (width, height), int(stored.samplesperpixel), at_most=True)
