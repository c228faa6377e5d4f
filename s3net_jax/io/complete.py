"""Detect truncated JPEG and PNG files, whose missing pixels decoders fill in silently."""

from __future__ import annotations

import io
import re
import zlib
from pathlib import Path

import numpy as np
from PIL import Image as PilImage

__all__ = ["note_missing_rows"]

# A marker that ends the coded data of a JPEG scan: not a stuffed 0, a restart or a fill byte.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_END = 0xD9
_ROWS = 256  # rows compared at a time, which bounds the memory of the comparison
_CHUNK = 1 << 20  # bytes inflated at a time
# Samples per pixel by PNG colour type.
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# First column, first row, column step and row step of each Adam7 pass.
_ADAM7 = (
    (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)
)  # fmt: skip


def note_missing_rows(picture: PilImage.Image, path: Path, name: str) -> list[str]:
    """Return a note if the coded data end early although the file has its end marker.

    Args:
      picture: decoded PIL image.
      path: path of its file.
      name: name of the image in the note.
    """
    if picture.format in ("JPEG", "MPO"):
        row = _find_missing_in_jpeg(picture, path.read_bytes())
    elif picture.format == "PNG":
        row = _find_missing_in_png(path)
    else:
        return []
    if row is None:
        return []
    return [
        f"{name} is incomplete: its data end in row {row + 1} of {picture.height}, and the rest is "
        "filled in; copy or export the file again."
    ]


def _find_missing_in_jpeg(picture: PilImage.Image, content: bytes) -> int | None:
    """Return the first missing row, or None.

    A decoder ignores data after the last pixel. If data inserted before the end marker change the
    picture, pixels were missing there.
    """
    end = _find_jpeg_end(content)
    if end is None:
        return None
    # Random bytes without 0xFF, which any Huffman table decodes to coefficients. Each of the
    # eight restart markers follows in turn, since data may be missing from a restart on.
    noise = np.random.default_rng(0).integers(0, 255, 512, np.uint8).tobytes()
    restarts = b"".join(noise + bytes((0xFF, 0xD0 + n)) for n in range(8))
    # A truncated file may end in a lone 0xFF, which would form a marker with the next byte.
    longer = content[:end].rstrip(b"\xff") + restarts + noise + b"\xff\xd9"
    try:
        with PilImage.open(io.BytesIO(longer), formats=("JPEG", "MPO")) as other:
            other.load()
            for top in range(0, picture.height, _ROWS):
                box = (0, top, picture.width, min(top + _ROWS, picture.height))
                one, two = np.asarray(picture.crop(box)), np.asarray(other.crop(box))
                differs = (one != two).reshape(len(one), -1).any(1)
                if differs.any():
                    return top + int(differs.argmax())
    except Exception:  # caused by the inserted data; the picture itself was decoded
        pass
    return None


def _find_jpeg_end(content: bytes) -> int | None:
    """Return the offset of the end marker of the first picture, or None."""
    place = 2
    while place + 4 <= len(content):
        found = _MARKER.search(content, place)
        if found is None:
            return None
        marker, place = content[found.start() + 1], found.start()
        if marker == _END:
            return place
        length = int.from_bytes(content[place + 2 : place + 4], "big")
        place += 2 + length
    return None


def _find_missing_in_png(path: Path) -> int | None:
    """Return the first row without data, or None; for interlaced pictures, within the last pass
    that is present."""
    lengths = None
    inflate, found = zlib.decompressobj(), 0
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            length, kind = int.from_bytes(head[:4], "big"), head[4:]
            if kind == b"IHDR":
                lengths = _list_png_rows(file.read(length))
            elif kind == b"IDAT" and lengths is not None:
                found += _count_inflated(file.read(length), inflate, lengths[-1][1] - found)
                if found >= lengths[-1][1]:
                    return None
            elif kind == b"IEND":
                break
            else:
                file.seek(length, 1)
            file.seek(4, 1)
    return next((row for row, end in lengths or [] if end > found), None)


def _count_inflated(data: bytes, inflate: zlib._Decompress, wanted: int) -> int:
    """Return the number of bytes that ``data`` inflates to, counting no further than ``wanted``."""
    found = 0
    try:
        while data and found < wanted:
            found += len(inflate.decompress(data, _CHUNK))
            data = inflate.unconsumed_tail
    except zlib.error:  # PIL reports broken data
        return wanted
    return found


def _list_png_rows(head: bytes) -> list[tuple[int, int]]:
    """Return (row, end offset of its inflated data) in storage order, from an IHDR chunk."""
    width, height = (int.from_bytes(head[n : n + 4], "big") for n in (0, 4))
    bits = head[8] * _SAMPLES.get(head[9], 1)
    passes = _ADAM7 if head[12] else ((0, 0, 1, 1),)
    rows, total = [], 0
    for left, top, across, down in passes:
        columns = -(-(width - left) // across)
        if columns < 1:
            continue
        for row in range(top, height, down):
            total += 1 + (columns * bits + 7) // 8  # each row starts with a filter byte
            rows.append((row, total))
    return rows
