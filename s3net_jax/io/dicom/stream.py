"""Read DICOM data sets within the limits.

Deflated data sets are unpacked once and in steps, elements are counted, and compressed frames are
compared with the header before decoding.
"""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any

from s3net_jax.errors import InputError, make_broken_error
from s3net_jax.io.codestream import check_stream
from s3net_jax.io.limits import (
    check_bytes,
    check_pages,
    check_pixels,
    compute_allowed_bytes,
    make_bytes_error,
    measure_stored_bytes,
)

__all__ = ["check_elements", "check_frames", "read_data_set"]

_DEFLATED = b"1.2.840.10008.1.2.1.99"
_EXPLICIT = b"1.2.840.10008.1.2.1\0\0\0"
_RLE = "1.2.840.10008.1.2.5"

_STEP = 1 << 20  # bytes unpacked at a time
_COPIES = 4  # copies of unpacked bytes in memory: stream, element, array, rescaled values

# Limits on the work of pydicom, which takes about 10 µs and 1 kB per element and reads the file one
# to four times for each. An enhanced CT with 2,000 frames has 100,000 elements.
_READS = 800_000
_ELEMENTS = 300_000
_TEXT = 4 << 20  # bytes of elements that pydicom splits into single values

_PLAIN = {"OB", "OW", "OF", "OD", "OL", "OV", "UN", "UT", "LT", "ST", "UR"}
_RLE_BYTES = 64 << 20  # only segments that may unpack to more are measured, which takes time

_ITEM, _UNDEFINED = b"\xfe\xff\x00\xe0", 0xFFFFFFFF
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}


class _Stream:
    """A file object for pydicom that bounds time and memory.

    It counts reads, never returns more bytes than the file has, and unpacks a deflated data set
    only as far as it is read.
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._stored = measure_stored_bytes(path)
        self._size = path.stat().st_size
        self._file: Any = path.open("rb")
        self._engine: Any = None
        self._reads = 0

    def inflate_from(self, start: int) -> None:
        """Inflate from offset ``start``, where the deflated data set begins."""
        self._file.seek(0)
        head = self._file.read(start).replace(_DEFLATED, _EXPLICIT)
        self._source, self._engine = self._file, zlib.decompressobj(-zlib.MAX_WBITS)
        self._file = io.BytesIO(head)
        self._size = start
        self._most = compute_allowed_bytes(self._stored) // _COPIES

    def _fill(self, wanted: int | None) -> None:
        """Unpack until ``wanted`` bytes are available; None unpacks everything."""
        engine = self._engine
        if engine is None or engine.eof or (wanted is not None and wanted <= self._size):
            return
        place = self._file.tell()
        self._file.seek(self._size)
        while not engine.eof and (wanted is None or self._size < wanted):
            packed = engine.unconsumed_tail or self._source.read(_STEP)
            part = engine.decompress(packed, _STEP)
            if not packed and not part:
                raise ValueError("its deflated data end early")
            self._size += self._file.write(part)
            if self._size > self._most:
                raise make_bytes_error(self.name, self._stored)
        self._file.seek(place)

    def read(self, count: int = -1) -> bytes:
        self._reads += 1
        if self._reads > _READS:
            raise InputError(
                f"{self.name} has too many elements to be an image: copy or export the file again."
            )
        if count is None or count < 0:
            self._fill(None)
            return self._file.read()
        place = self._file.tell()
        self._fill(place + min(count, self._size + (1 << 40)))
        return self._file.read(min(count, max(0, self._size - place)))

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence == 2:
            self._fill(None)
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()
        if self._engine is not None:
            self._source.close()


def read_data_set(pydicom: Any, path: Path, **options: Any) -> Any:
    """Read a data set like ``pydicom.dcmread(path, **options)``, within the limits.

    Deflated data sets are converted to explicit little endian; with ``stop_before_pixels`` they
    are unpacked only up to their pixels.

    Args:
      pydicom: imported module.
      path: path of the file.
      **options: options of ``dcmread``.

    Raises:
      InputError: the data set unpacks to more than the limit, or has too many or too deeply
        nested elements.
      Exception: any exception from pydicom for broken data.
    """
    from pydicom import filereader

    stream = _Stream(path)
    source: Any = stream
    try:
        try:
            filereader.read_preamble(source, True)
            meta = filereader._read_file_meta_info(source)
            if str(meta.get("TransferSyntaxUID", "")) == _DEFLATED.decode():
                stream.inflate_from(stream.tell())
        except InputError:
            raise
        except Exception:  # dcmread reports the error
            pass
        stream.seek(0)
        data = pydicom.dcmread(source, **options)
    except RecursionError:
        raise InputError(
            f"{path} has elements nested too deeply to be an image: copy or export the file again."
        ) from None
    finally:
        stream.close()
    data.filename = str(path)
    check_elements(data, str(path))
    return data


def check_elements(data: Any, name: str) -> None:
    """Raise :class:`InputError` if the elements would take too long to parse.

    pydicom parses elements on access, so the check counts them in their raw bytes.
    """
    text = elements = 0
    for tag in list(data.keys()):
        raw = data.get_item(tag)
        value = getattr(raw, "value", None)
        if not isinstance(value, bytes):
            continue
        kind = str(raw.VR or "")
        if value[:4] == _ITEM and (kind in ("SQ", "UN", "")):
            elements += _count_elements(value, raw.is_implicit_VR, _ELEMENTS - elements)
        elif kind not in _PLAIN and tag.group != 0x7FE0:
            text += len(value)
        if elements > _ELEMENTS or text > _TEXT:
            raise InputError(
                f"{name} has too many elements to be an image: copy or export the file again."
            )


def _count_elements(value: bytes, implicit: bool, most: int) -> int:
    """Count elements in all items of a sequence, nested sequences as one; stop above ``most``."""
    place = count = 0
    while place + 8 <= len(value) and count <= most:
        head = value[place : place + 4]
        length = int.from_bytes(value[place + 4 : place + 8], "little")
        if head[1:4] == b"\xff\x0d\xe0" or head[1:4] == b"\xff\xdd\xe0" or head == _ITEM:
            place += 8  # continue inside the item
        elif not implicit and value[place + 4 : place + 6] in _LONG:
            length = int.from_bytes(value[place + 8 : place + 12], "little")
            place += 12 + (0 if length == _UNDEFINED else length)
        else:
            if not implicit:
                length = int.from_bytes(value[place + 6 : place + 8], "little")
            place += 8 + (0 if length == _UNDEFINED else length)
        count += 1
    return count


def check_frames(pydicom: Any, data: Any, path: Path) -> None:
    """Check the size of the pixels before decoding.

    Args:
      pydicom: imported module.
      data: data set with pixels.
      path: path of its file.

    Raises:
      InputError: decoding would exceed the limits, or compressed frames differ in size from the
        header.
    """
    name = str(path)
    rows, columns = int(data.Rows), int(data.Columns)
    samples = int(data.get("SamplesPerPixel") or 1)
    count = int(data.get("NumberOfFrames") or 1)
    check_pixels(name, columns, rows)
    check_pages(name, count, "frames")
    width = max(1, int(data.get("BitsAllocated") or 8) // 8)
    size = measure_stored_bytes(path)
    # Bytes per pixel: three copies of decoded colours; for grey, the decoded number, and its
    # float64 (8) and float32 (4) values while it is rescaled.
    each = samples * 3 * width if samples > 1 else width + 12
    check_bytes(name, count * rows * columns * each, size)
    syntax = data.file_meta.TransferSyntaxUID
    if "PixelData" not in data or not syntax.is_encapsulated:
        return
    for frame in _read_frames(pydicom, data, count):
        if syntax == _RLE:
            _check_rle(frame, name, rows * columns, size)
        else:
            check_stream(frame, name, (columns, rows), samples)


def _read_frames(pydicom: Any, data: Any, count: int) -> Any:
    offsets = None
    if "ExtendedOffsetTable" in data and "ExtendedOffsetTableLengths" in data:
        offsets = data.ExtendedOffsetTable, data.ExtendedOffsetTableLengths
    return pydicom.encaps.generate_frames(
        data.PixelData, number_of_frames=count, extended_offsets=offsets
    )


def _check_rle(frame: bytes, name: str, pixels: int, size: int) -> None:
    """Raise :class:`InputError` if RLE segments unpack to far more than their pixels.

    PackBits expands one byte to up to 64.
    """
    offsets = [int.from_bytes(frame[n : n + 4], "little") for n in range(4, 64, 4)]
    count = int.from_bytes(frame[:4], "little")
    if not 1 <= count <= 15:
        raise make_broken_error(name, ValueError(f"{count:,} RLE segments"))
    ends = [*offsets[1:count], len(frame)]
    for start, end in zip(offsets[:count], ends, strict=True):
        limit = 2 * pixels + 1024  # literal runs add one byte per 128; rows may end with padding
        if end - start > limit:
            raise InputError(
                f"{name} contradicts itself: an RLE segment of {end - start:,} bytes is longer "
                f"than its {pixels:,} pixels need; copy or export the file again."
            )
        if 64 * (end - start) > _RLE_BYTES and _measure_rle(frame[start:end], limit) > limit:
            raise make_bytes_error(name, size)


def _measure_rle(segment: bytes, most: int) -> int:
    """Return the number of bytes that a segment unpacks to; stop above ``most``."""
    place = total = 0
    end = len(segment)
    while place < end and total <= most:
        run = segment[place]
        if run < 128:
            total += run + 1
            place += run + 2
        else:
            total += 257 - run if run > 128 else 0
            place += 2 if run > 128 else 1
    return total
