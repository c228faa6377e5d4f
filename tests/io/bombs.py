"""Small files that claim or unpack to far more than they hold, and a process that opens them.

``python -m tests.io.bombs FOLDER`` opens every file of a folder as a run does, and prints for each
what came of it, its seconds, and the largest memory of the process as JSON.
"""

from __future__ import annotations

import gzip
import io
import json
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.io.dicom_bombs import DICOM_BOMBS
from tests.io.packed import deflate_zeros, make_jpeg_claim, save_flat
from tests.pictures import png_header

__all__ = ["BOMBS", "CAP", "make_many_pages"]

CAP = 1000  # MiB


# --- pictures


def _make_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def make_png(width: int, height: int, color: int, depth: int = 8, *more: bytes) -> bytes:
    """A whole PNG of zeros but for its first row."""
    bits = {0: 1, 2: 3, 6: 4}[color] * depth
    row = bytes([0, *([9, 90, 200, 255] * (width * bits // 32 + 1))])[: 1 + width * bits // 8]
    engine = zlib.compressobj(3)
    zeros = bytes(1 + width * bits // 8) * 100
    body = engine.compress(row)
    for start in range(1, height, 100):
        body += engine.compress(zeros[: (width * bits // 8 + 1) * min(100, height - start)])
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    parts = [_make_chunk(b"IHDR", header), *more, _make_chunk(b"IDAT", body + engine.flush())]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + _make_chunk(b"IEND", b"")


def make_png_text() -> bytes:
    packed = deflate_zeros(1 << 30)
    return make_png(
        64, 64, 2, 8,
        _make_chunk(b"zTXt", b"a\0\0" + packed),
        _make_chunk(b"iTXt", b"b\0\1\0\0\0" + packed),
        _make_chunk(b"iCCP", b"c\0\0" + packed),
    )  # fmt: skip


def make_gif_frames() -> bytes:
    from PIL import Image

    out = io.BytesIO()
    values = np.random.default_rng(0).integers(0, 2, (16, 16), np.uint8) * 255
    Image.fromarray(values).save(out, "GIF")
    content = out.getvalue()
    start = content.index(b",\0\0\0\0")
    return content[:start] + content[start:-1] * 40_000 + b";"


def make_gif_screen() -> bytes:
    """A picture of 16×16 on a screen of 60,000×60,000."""
    content = bytearray(make_gif_frames()[:2000])
    content[6:10] = struct.pack("<HH", 60_000, 60_000)
    return bytes(content)


def make_bmp_claim() -> bytes:
    content = bytearray(save_flat("BMP", 64))
    content[18:26] = struct.pack("<ii", 20_000, 20_000)
    return bytes(content)


# --- TIFF


def make_tiff(tags: dict[int, tuple[int, int, int]], data: bytes = b"", big: bool = False) -> bytes:
    """One directory behind ``data``; each tag: type, count, value."""
    start = 16 if big else 8
    place = start + len(data)
    head = struct.pack("<2sHHHQ", b"II", 43, 8, 0, place) if big else b""
    head = head or struct.pack("<2sHI", b"II", 42, place)
    form, count, end = ("<HHQQ", "<Q", "<Q") if big else ("<HHII", "<H", "<I")
    entries = b"".join(struct.pack(form, tag, *tags[tag]) for tag in sorted(tags))
    return head + data + struct.pack(count, len(tags)) + entries + struct.pack(end, 0)


def get_tags(
    width: int, height: int, size: int, bits: int = 16, compression: int = 1, start: int = 8
) -> dict[int, tuple[int, int, int]]:
    return {
        256: (4, 1, width), 257: (4, 1, height), 258: (3, 1, bits), 259: (3, 1, compression),
        262: (3, 1, 1), 273: (4, 1, start), 277: (3, 1, 1), 278: (4, 1, height), 279: (4, 1, size),
    }  # fmt: skip


def make_tiff_strip(compression: int, bits: int = 16) -> bytes:
    """Make an image of 64×64 pixels whose strip unpacks to 1.5 GB."""
    pixels = np.arange(64 * 64, dtype=np.uint16).tobytes()
    if compression == 34925:
        import lzma

        data = lzma.compress(pixels + bytes(32 << 20), preset=1)
    elif compression == 32773:
        data = b"".join(b"\x7f" + pixels[n : n + 128] for n in range(0, len(pixels), 128))
        data += b"\x81\0" * (4 << 20)
    else:
        data = deflate_zeros(1 << 30, pixels)
    return make_tiff(get_tags(64, 64, len(data), bits, compression), data)


def make_tiff_tiles() -> bytes:
    data = deflate_zeros(64 << 20)
    tags = get_tags(64, 64, len(data), 8, 8)
    tags |= {322: (4, 1, 60_000), 323: (4, 1, 60_000), 324: tags[273], 325: tags[279]}
    return make_tiff(
        {tag: value for tag, value in tags.items() if tag not in (273, 278, 279)}, data
    )


def make_many_pages(count: int, ring: bool = False) -> bytes:
    """Pages of 16×16 that share their pixels; ``ring``: the last is followed by the first."""
    size = 2 + 12 * 9 + 4
    pixels = np.random.default_rng(0).integers(0, 255, 256, np.uint8).tobytes()
    tags = get_tags(16, 16, 256, 8, start=8 + count * size)
    entries = b"".join(struct.pack("<HHII", tag, *tags[tag]) for tag in sorted(tags))
    body = struct.pack("<H", 9) + entries
    pages = [body + struct.pack("<I", 8 + (n + 1) * size) for n in range(count - 1)]
    pages.append(body + struct.pack("<I", 8 if ring else 0))
    return struct.pack("<2sHI", b"II", 42, 8) + b"".join(pages) + pixels


def make_tiff_flat(bits: int) -> bytes:
    """9,500×9,500 zeros, deflated: every claim of the header is true."""
    data = deflate_zeros(9500 * 9500 * bits // 8, bytes(range(256)) * 64)
    return make_tiff(get_tags(9500, 9500, len(data), bits, 8), data)


# --- NIfTI


def make_nifti(shape: tuple[int, ...], code: int, body: bytes, **fields: object) -> bytes:
    import nibabel as nib

    header = nib.Nifti1Header()
    header.set_data_dtype(code)
    header["dim"] = [len(shape), *shape, *[1] * (7 - len(shape))]
    header["magic"], header["vox_offset"] = b"n+1", 352
    header["sform_code"], header["srow_x"] = 1, [1, 0, 0, 0]
    header["srow_y"], header["srow_z"] = [0, 1, 0, 0], [0, 0, 1, 0]
    for name, value in fields.items():
        header[name] = value
    return header.binaryblock + body


def make_nifti_zeros(
    shape: tuple[int, ...], code: int, more: int = 0, size: int | None = None
) -> bytes:
    width = {2: 1, 4: 2, 16: 4, 64: 8}[code]
    size = int(np.prod(shape)) * width + more + (4 << 20) if size is None else size
    return deflate_zeros(size, make_nifti(shape, code, bytes(4) + bytes(range(256)) * 16), 31)


def make_nifti_extension(length: int, packed: bool = True, offset: float = 1e9) -> bytes:
    body = b"\1\0\0\0" + struct.pack("<ii", length, 6)
    content = make_nifti((20, 20, 4), 4, body, vox_offset=offset)
    return deflate_zeros(1 << 30, content, 31) if packed else content + bytes(4096)


def make_nifti_members() -> bytes:
    """A sound volume, and a thousand further gzip members behind it."""
    values = np.arange(1600, dtype=np.int16).tobytes()
    first = gzip.compress(make_nifti((20, 20, 4), 4, bytes(4) + values))
    return first + gzip.compress(bytes(8 << 20)) * 1000


_NOISE = np.random.default_rng(0).integers(0, 255, 8192, np.uint8).tobytes()

BOMBS: dict[str, Callable[[Path], bytes]] = {
    # A header that lies about next to nothing.
    "claim.png": lambda _: png_header(20_000, 20_000),
    "claim.bmp": lambda _: make_bmp_claim(),
    "claim.jpg": lambda _: make_jpeg_claim(60_000, 60_000),
    "claim-progressive.jpg": lambda _: make_jpeg_claim(9_900, 9_900, 0xC2),
    "claim.gif": lambda _: make_gif_screen(),
    "claim.tif": lambda _: make_tiff(get_tags(20_000, 20_000, 8192), bytes(8192)),
    "claim-big.tif": lambda _: make_tiff(get_tags(2**31, 2**31, 8192, start=16), bytes(8192), True),
    "tags.tif": lambda _: make_tiff({**get_tags(64, 64, 8192), 330: (4, 2**31, 8)}, _NOISE),
    "subifds.tif": lambda _: make_tiff({**get_tags(64, 64, 8192), 330: (4, 1, 8200)}, _NOISE),
    "tiles.tif": lambda _: make_tiff_tiles(),
    # Pictures that are as large as they say.
    "zeros-rgba.png": lambda _: make_png(8_000, 8_000, 6),
    "zeros-rgb16.png": lambda _: make_png(8_000, 8_000, 2, 16),
    "zeros-grey16.png": lambda _: make_png(9_900, 9_900, 0, 16),
    "zeros.webp": lambda _: save_flat("WEBP", 9_900, lossless=True, method=0),
    "zeros.jpg": lambda _: save_flat("JPEG", 8_000),
    "zeros-progressive.jpg": lambda _: save_flat("JPEG", 9_000, progressive=True),
    "zeros-8.tif": lambda _: make_tiff_flat(8),
    "zeros-16.tif": lambda _: make_tiff_flat(16),
    "zeros-32.tif": lambda _: make_tiff_flat(32),
    # What unpacks to more than the picture has.
    "text.png": lambda _: make_png_text(),
    "strip-deflate.tif": lambda _: make_tiff_strip(8),
    "strip-deflate-8.tif": lambda _: make_tiff_strip(8, 8),
    "strip-lzma.tif": lambda _: make_tiff_strip(34925),
    "strip-packbits.tif": lambda _: make_tiff_strip(32773),
    # Pages and frames.
    "pages.tif": lambda _: make_many_pages(60_000),
    "ring.tif": lambda _: make_many_pages(50, ring=True),
    "frames.gif": lambda _: make_gif_frames(),
    # NIfTI
    "zeros-16.nii.gz": lambda _: make_nifti_zeros((700, 700, 600), 4),
    "zeros-f64.nii.gz": lambda _: make_nifti_zeros((400, 400, 400), 64),
    "volumes.nii.gz": lambda _: make_nifti_zeros((64, 64, 10, 10_000), 4),
    "beyond.nii.gz": lambda _: make_nifti_zeros((20, 20, 4), 4, more=1 << 30),
    "members.nii.gz": lambda _: make_nifti_members(),
    "extension.nii.gz": lambda _: make_nifti_extension(1_000_000_000),
    "extension-negative.nii.gz": lambda _: make_nifti_extension(-16),
    "extension-zero.nii.gz": lambda _: make_nifti_extension(0),
    "extension-claim.nii": lambda _: make_nifti_extension(2**31 - 16, packed=False),
    "dims-negative.nii": lambda _: make_nifti((-20, 20, 4), 4, bytes(5000)),
    "dims-huge.nii.gz": lambda _: make_nifti_zeros((32_000, 32_000, 32_000), 4, size=1 << 22),
    **DICOM_BOMBS,
}  # fmt: skip
"""File name → its content; the folder is for what making it leaves."""


def main(folder: Path) -> None:
    from tests.io.fuzz_formats import attempt

    for path in sorted(p for p in folder.iterdir() if p.is_file()):
        print(json.dumps(attempt(path)), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
