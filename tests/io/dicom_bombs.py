"""DICOM files whose compressed pixels, elements or lengths claim far more than they hold."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.io.packed import deflate_zeros, make_jpeg_claim
from tests.volumes import save_dicom

__all__ = ["DICOM_BOMBS", "make_jpeg2000"]


def make_data_set(folder: Path, rows: int = 64, columns: int = 64, **elements: object) -> Path:
    values = np.random.default_rng(0).integers(-900, 900, (columns, rows, 1)).astype(np.int16)
    (path,) = save_dicom(folder, values, **elements)  # pyright: ignore[reportArgumentType]
    return path


def wrap_frames(folder: Path, syntax: str, frames: list[bytes], **elements: Any) -> bytes:
    """A data set of 64×64 pixels whose compressed frames are ``frames``."""
    import pydicom
    from pydicom.encaps import encapsulate, encapsulate_extended
    from pydicom.uid import UID

    data = pydicom.dcmread(make_data_set(folder))
    extended, fragments = elements.pop("extended", False), elements.pop("fragments", 1)
    for name, value in elements.items():
        setattr(data, name, value)
    data.file_meta.TransferSyntaxUID = UID(syntax)
    if extended:
        data.PixelData, data.ExtendedOffsetTable, data.ExtendedOffsetTableLengths = (
            encapsulate_extended(frames)
        )
    else:
        data.PixelData = encapsulate(frames, fragments_per_frame=int(fragments))
    data["PixelData"].VR = "OB"
    data["PixelData"].is_undefined_length = True
    out = io.BytesIO()
    data.save_as(out, enforce_file_format=True)
    return out.getvalue()


def make_jpeg2000(
    width: int, height: int, samples: int = 1, tile: tuple[int, int] | None = None,
    precinct: int | None = None,
) -> bytes:  # fmt: skip
    """The main header of a codestream and one empty tile part."""
    tile = tile or (width, height)
    siz = struct.pack(">HIIIIIIIIH", 0, width, height, 0, 0, *tile, 0, 0, samples)
    siz += bytes([15, 1, 1]) * samples
    cod = bytes([0 if precinct is None else 1, 0, 0, 1, 0, 5, 4, 4, 0, 1])
    cod += b"" if precinct is None else bytes([precinct]) * 6
    head = b"\xff\x4f\xff\x51" + struct.pack(">H", len(siz) + 2) + siz
    head += b"\xff\x52" + struct.pack(">H", len(cod) + 2) + cod
    head += b"\xff\x5c\x00\x13\x40" + bytes([80] * 16)
    return head + b"\xff\x90\x00\x0a\x00\x00" + struct.pack(">IBB", 14, 0, 1) + b"\xff\x93\xff\xd9"


def encode_rle(segment: bytes, count: int = 2) -> bytes:
    places = [64 + n * len(segment) for n in range(count)]
    return struct.pack("<16I", count, *places, *[0] * (15 - count)) + segment * count


def deflate_data_set(folder: Path, pixels: int = 0, elements: bytes = b"") -> bytes:
    """A deflated data set: ``elements`` or ``pixels`` more bytes behind its own."""
    import pydicom
    from pydicom.filebase import DicomFileLike
    from pydicom.filewriter import write_file_meta_info
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    path = make_data_set(folder)
    data = pydicom.dcmread(path)
    content = path.read_bytes()
    meta: Any = io.BytesIO()
    data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    write_file_meta_info(DicomFileLike(meta), data.file_meta)
    start = 132 + 12 + struct.unpack_from("<I", content, 140)[0]
    body = elements + content[start:]
    return b"\0" * 128 + b"DICM" + meta.getvalue() + deflate_zeros(pixels, body, -15)


def nest_sequences(folder: Path, depth: int, defined: bool = False) -> bytes:
    content = make_data_set(folder).read_bytes()
    if defined:
        body = b""
        for _ in range(depth):
            item = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(body)) + body
            body = b"\x40\0\x75\2SQ\0\0" + struct.pack("<I", len(item)) + item
    else:
        begin = b"\x40\0\x75\2SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
        end = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
        body = begin * depth + end * depth
    return _insert_before_pixels(content, body)


def _insert_before_pixels(content: bytes, body: bytes) -> bytes:
    place = content.index(b"\xe0\x7f\x10\0OW")
    return content[:place] + body + content[place:]


def make_many_items(folder: Path, count: int) -> bytes:
    items = b"\xfe\xff\x00\xe0\0\0\0\0" * count
    sequence = b"\x40\0\x75\2SQ\0\0" + struct.pack("<I", len(items)) + items
    return _insert_before_pixels(make_data_set(folder).read_bytes(), sequence)


def make_many_numbers(folder: Path, count: int) -> bytes:
    """An element of many decimal strings: longer than 64 kB they are written as UC."""
    text = b"1\\" * count
    return _insert_before_pixels(
        make_data_set(folder).read_bytes(),
        b"\x40\0\x75\2UC\0\0" + struct.pack("<I", len(text)) + text,
    )


def claim_huge_length(folder: Path, length: int) -> bytes:
    body = b"\x40\0\x75\2OB\0\0" + struct.pack("<I", length)
    return _insert_before_pixels(make_data_set(folder).read_bytes(), body)


J2K, JPEG, JLS, RLE = (f"1.2.840.10008.1.2.{n}" for n in ("4.90", "4.50", "4.80", "5"))
HTJ2K = "1.2.840.10008.1.2.4.201"
_ELEMENT = b"\x10\0\x40\0PN\2\0a "

DICOM_BOMBS: dict[str, Callable[[Path], bytes]] = {
    # DICOM: codestreams of another size than the header says.
    "stream.dcm": lambda f: wrap_frames(f, J2K, [make_jpeg2000(60_000, 60_000)]),
    "stream-extended.dcm": lambda f: wrap_frames(
        f, J2K, [make_jpeg2000(60_000, 60_000)], extended=True
    ),
    "stream-fragments.dcm": lambda f: wrap_frames(
        f, J2K, [make_jpeg2000(60_000, 60_000)] * 2, NumberOfFrames=2, fragments=3
    ),
    "stream-ht.dcm": lambda f: wrap_frames(f, HTJ2K, [make_jpeg2000(60_000, 60_000)]),
    "stream-second.dcm": lambda f: wrap_frames(
        f, J2K, [make_jpeg2000(64, 64), make_jpeg2000(60_000, 60_000)], NumberOfFrames=2
    ),
    "stream-samples.dcm": lambda f: wrap_frames(f, J2K, [make_jpeg2000(64, 64, 16_000)]),
    "stream-tiles.dcm": lambda f: wrap_frames(
        f, J2K, [make_jpeg2000(6400, 6400, tile=(25, 25))], Rows=6400, Columns=6400
    ),
    "stream-precincts.dcm": lambda f: wrap_frames(
        f, J2K, [make_jpeg2000(4000, 4000, precinct=0)], Rows=4000, Columns=4000
    ),
    "stream-jpeg.dcm": lambda f: wrap_frames(f, JPEG, [make_jpeg_claim(60_000, 60_000)]),
    "stream-ls.dcm": lambda f: wrap_frames(f, JLS, [make_jpeg_claim(60_000, 60_000, 0xF7)]),
    "stream-other.dcm": lambda f: wrap_frames(f, JPEG, [make_jpeg2000(60_000, 60_000)]),
    "rle.dcm": lambda f: wrap_frames(f, RLE, [encode_rle(b"\x81\0" * (2 << 20))]),
    "large.dcm": lambda f: wrap_frames(
        f, J2K, [make_jpeg2000(20_000, 20_000)], Rows=20_000, Columns=20_000
    ),
    "frames.dcm": lambda f: wrap_frames(f, J2K, [make_jpeg2000(64, 64)], NumberOfFrames=2**31 - 1),
    # DICOM: what unpacks and what nests.
    "deflated.dcm": lambda f: deflate_data_set(f, 1 << 30),
    "deflated-elements.dcm": lambda f: deflate_data_set(f, elements=_ELEMENT * 8_000_000),
    "nested.dcm": lambda f: nest_sequences(f, 10_000),
    "nested-defined.dcm": lambda f: nest_sequences(f, 3_000, defined=True),
    "items.dcm": lambda f: make_many_items(f, 2_000_000),
    "numbers.dcm": lambda f: make_many_numbers(f, 10_000_000),
    "length.dcm": lambda f: claim_huge_length(f, 0xFFFFFFFE),
    "length-undefined.dcm": lambda f: claim_huge_length(f, 0xFFFFFFFF),
}  # fmt: skip
