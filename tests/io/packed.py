"""Parts of bombs: zeros deflated, pictures in one colour, heads that lie."""

from __future__ import annotations

import io
import struct
import zlib

__all__ = ["deflate_zeros", "make_jpeg_claim", "save_flat"]


def deflate_zeros(size: int, head: bytes = b"", wbits: int = 15) -> bytes:
    """``head`` and about ``size`` zeros, deflated (``wbits``: −15 raw, 15 zlib, 31 gzip).

    Blocks of zeros are compressed once and repeated.
    """
    zeros, count = bytes(1 << 22), -(-size >> 22)
    engine = zlib.compressobj(9, wbits=-15)
    first = engine.compress(head) + engine.flush(zlib.Z_FULL_FLUSH)
    block = engine.compress(zeros) + engine.flush(zlib.Z_FULL_FLUSH)
    body = first + block * count + engine.flush()
    if wbits == -15:
        return body
    if wbits == 31:
        check = zlib.crc32(head)
        for _ in range(count):
            check = zlib.crc32(zeros, check)
        length = (len(head) + count * len(zeros)) & 0xFFFFFFFF
        return b"\x1f\x8b\x08" + bytes(6) + b"\xff" + body + struct.pack("<II", check, length)
    check = zlib.adler32(head)
    low, high = check & 0xFFFF, check >> 16  # zeros leave the first sum and add it to the second
    high = (high + low * count * len(zeros)) % 65521
    return b"\x78\xda" + body + struct.pack(">I", high << 16 | low)


def save_flat(form: str, side: int, **options: object) -> bytes:
    """A picture of ``side``² in one colour but for a corner, as PIL writes it."""
    from PIL import Image

    picture = Image.new("RGB", (side, side), (10, 20, 30))
    picture.putpixel((0, 0), (200, 100, 50))
    out = io.BytesIO()
    picture.save(out, form, **options)  # pyright: ignore[reportArgumentType]
    return out.getvalue()


def make_jpeg_claim(width: int, height: int, marker: int = 0xC0) -> bytes:
    content = bytearray(save_flat("JPEG", 64))
    place = content.index(b"\xff\xc0")
    content[place + 1] = marker
    content[place + 5 : place + 9] = struct.pack(">HH", height, width)
    return bytes(content)
