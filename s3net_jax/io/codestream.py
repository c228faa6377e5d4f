"""Read the size of embedded compressed pictures from their headers before decoding."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from s3net_jax.errors import InputError
from s3net_jax.io.limits import check_bytes, check_pixels

__all__ = ["Picture", "check_stream", "find_pictures"]

_FRAMES_OF_JPEG = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC} | {0xF7}  # SOF0–15; JPEG-LS
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
_LS_PARAMETERS, _OVERSIZE = 0xF8, 4  # JPEG-LS marker that overrides the size in the frame header

# Working memory of OpenJPEG in bytes, rounded up: per tile, and per precinct or code block.
_TILE_BYTES, _BLOCK_BYTES = 8192, 256


@dataclass(frozen=True)
class Picture:
    """Size of a picture as stated by its codestream.

    Attributes:
      width, height: size in pixels.
      samples: number of samples per pixel.
      overhead: bytes that a decoder needs in addition to the pixels.
    """

    width: int
    height: int
    samples: int
    overhead: int = 0


def check_stream(
    data: bytes, name: str, size: tuple[int, int], samples: int, *, at_most: bool = False
) -> None:
    """Check that a compressed picture has the size that the containing file states.

    JPEG, JPEG-LS, JPEG 2000, JPEG XL, PNG, WebP and LERC are checked; other data are accepted.

    Args:
      data: one complete picture.
      name: name of the file in messages.
      size: (width, height) stated by the file.
      samples: samples per pixel stated by the file.
      at_most: whether smaller pictures are accepted, as for tiles at an edge.

    Raises:
      InputError: the sizes differ, the header is broken, or decoding would exceed the limits.
    """
    try:
        found = find_pictures(data)
    except (struct.error, IndexError, ValueError) as error:
        raise InputError(
            f"{name} is broken or cut off (header of its compressed pixels: {error}): copy or "
            "export the file again."
        ) from None
    for picture in found:
        own = picture.width, picture.height
        wrong = own[0] > size[0] or own[1] > size[1] if at_most else own != size
        if wrong:
            raise InputError(
                f"{name} contradicts itself: its header says {size[0]}×{size[1]} pixels, its "
                f"compressed pixels say {own[0]}×{own[1]}; copy or export the file again."
            )
        if picture.samples > max(samples, 1):
            raise InputError(
                f"{name} contradicts itself: its header says {samples} samples per pixel, its "
                f"compressed pixels say {picture.samples}; copy or export the file again."
            )
        check_pixels(name, *own)
        # Peak memory of decoders: 4 bytes per sample, and one copy.
        needed = own[0] * own[1] * picture.samples * 8 + picture.overhead
        check_bytes(name, needed, len(data))


def find_pictures(data: bytes) -> list[Picture]:
    """Return every picture size stated in ``data``; empty for an unknown format.

    Raises:
      ValueError, struct.error, IndexError: a header is broken or truncated.
    """
    if data[:2] == b"\xff\xd8":
        return _read_jpeg(data)
    if data[:4] == b"\xff\x4f\xff\x51":
        return [_read_jpeg2000(data)]
    if data[4:8] == b"jP  " and len(data) > 12:
        return _read_boxes(data)
    if data[:2] == b"\xff\x0a":
        return [_read_jpeg_xl(data[2:])]
    if data[4:8] == b"JXL ":
        return _read_boxes(data)
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        width, height, _, color = struct.unpack(">IIBB", data[16:26])
        return [Picture(width, height, {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(color, 4))]
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return [_read_webp(data)]
    if data[:6] == b"Lerc2 ":
        version = struct.unpack("<i", data[6:10])[0]
        height, width = struct.unpack_from("<ii", data, 14 if version >= 3 else 10)
        return [Picture(width, height, 1)]
    return []


def _read_jpeg(data: bytes) -> list[Picture]:
    """Read all frame headers before the first scan; a decoder takes the size from one of them."""
    found: list[Picture] = []
    place = 2
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            place += 1  # decoders skip bytes that are not markers
            continue
        marker = data[place + 1]
        if marker == 0xFF:
            place += 1
            continue
        if marker in _WITHOUT_LENGTH or marker == 0:
            place += 2
            continue
        if marker in (0xDA, 0xD9):
            break
        length = struct.unpack_from(">H", data, place + 2)[0]
        if marker in _FRAMES_OF_JPEG:
            _, height, width, samples = struct.unpack_from(">BHHB", data, place + 4)
            # Decoders keep 2 bytes per coefficient until a progressive frame is complete.
            extra = 2 * width * height * samples if marker in (0xC2, 0xC6, 0xCA, 0xCE) else 0
            found.append(Picture(width, height, samples, extra))
        elif marker == _LS_PARAMETERS and data[place + 4] == _OVERSIZE:
            raise ValueError("sizes above 65,535 are not supported")
        place += 2 + max(length, 2)
    if not found:
        raise ValueError("no frame header")
    return found


def _read_boxes(data: bytes) -> list[Picture]:
    """Read the codestreams in the boxes of a JP2 or JPEG XL file."""
    found: list[Picture] = []
    place = 0
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        head = 8
        if length == 1:
            length, head = struct.unpack_from(">Q", data, place + 8)[0], 16
        end = len(data) if length == 0 else min(place + max(length, head), len(data))
        if kind == b"jp2c":
            found.append(_read_jpeg2000(data[place + head : end]))
        elif kind in (b"jxlc", b"jxlp"):
            start = place + head + (4 if kind == b"jxlp" else 0)
            if data[start : start + 2] == b"\xff\x0a":
                found.append(_read_jpeg_xl(data[start + 2 : start + 18]))
        place = end
    if not found:
        raise ValueError("no codestream")
    return found


def _read_jpeg2000(data: bytes) -> Picture:
    """Read the size (SIZ marker) and the number of tiles and code blocks (COD, COC markers)."""
    if data[:4] != b"\xff\x4f\xff\x51":
        raise ValueError("no size")
    _, _, x1, y1, x0, y0, tile_x, tile_y, tx0, ty0, samples = struct.unpack_from(
        ">HHIIIIIIIIH", data, 4
    )
    width, height = x1 - x0, y1 - y0
    if min(width, height, tile_x, tile_y, samples) < 1:
        raise ValueError("a size of 0")
    # Subsampled components, which would be smaller than the image, do not occur in the files that
    # are read here.
    tiles = -(-(x1 - tx0) // tile_x) * -(-(y1 - ty0) // tile_y)
    if tiles > 65_535:
        raise ValueError(f"{tiles:,} tiles")
    blocks = _count_blocks(data, min(width, tile_x), min(height, tile_y)) * tiles * samples
    return Picture(width, height, samples, tiles * _TILE_BYTES + blocks * _BLOCK_BYTES)


def _count_blocks(data: bytes, width: int, height: int) -> int:
    """Count precincts and code blocks per component and tile, for the finest partition coded."""
    most = 0
    for levels, block, precincts in _read_codings(data):
        cut = 0
        for level in range(levels + 1):
            w, h = -(-width >> level), -(-height >> level)
            px, py = precincts[min(levels - level, len(precincts) - 1)]
            bx, by = min(block[0], px), min(block[1], py)
            cut += (w // (1 << px) + 1) * (h // (1 << py) + 1)
            cut += (w // (1 << bx) + 1) * (h // (1 << by) + 1)
        most = max(most, cut)
    return most


def _read_codings(data: bytes) -> list[tuple[int, tuple[int, int], list[tuple[int, int]]]]:
    """Read all COD and COC markers as (levels, code block exponents, precinct exponents).

    Precinct exponents start at the coarsest level.
    """
    found = []
    place, tile_end = 2, 0
    while place + 4 <= len(data):
        marker, length = struct.unpack_from(">HH", data, place)
        if marker == 0xFF90 and length >= 10:  # SOT
            part = struct.unpack_from(">I", data, place + 6)[0]
            tile_end = place + part if part else len(data)
        elif marker == 0xFF93:  # SOD: the next tile part follows its data
            if tile_end <= place:
                break
            place = tile_end
            continue
        elif marker in (0xFF52, 0xFF53):
            wide = struct.unpack_from(">H", data, 40)[0] > 256
            start = place + (9 if marker == 0xFF52 else 6 + wide)
            custom = bool(data[place + 4 if marker == 0xFF52 else place + 5 + wide] & 1)
            levels = min(data[start], 32)  # the largest number that the standard allows
            block = (data[start + 1] & 15) + 2, (data[start + 2] & 15) + 2
            sizes = data[start + 5 : start + 6 + levels] if custom else b"\xff"
            precincts = [(size & 15, size >> 4) for size in sizes] or [(15, 15)]
            found.append((levels, block, precincts))
        elif marker == 0xFFD9 or marker < 0xFF00:
            break
        place += 2 + max(length, 2)
    return found


def _read_jpeg_xl(data: bytes) -> Picture:
    """Read the size header (ISO/IEC 18181-1, D.3), a bit stream with the lowest bits first."""
    bits = int.from_bytes(data[:16], "little")

    def take(count: int) -> int:
        nonlocal bits
        value = bits & ((1 << count) - 1)
        bits >>= count
        return value

    small = take(1)

    def take_side() -> int:
        if small:
            return 8 * (take(5) + 1)
        return take((9, 13, 18, 30)[take(2)]) + 1

    height = take_side()
    ratio = take(3)
    if ratio == 0:
        return Picture(take_side(), height, 1)
    above, below = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[ratio - 1]
    return Picture(height * above // below, height, 1)


def _read_webp(data: bytes) -> Picture:
    kind = data[12:16]
    if kind == b"VP8X":
        width = 1 + int.from_bytes(data[24:27], "little")
        return Picture(width, 1 + int.from_bytes(data[27:30], "little"), 3)
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return Picture(1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), 3)
    width, height = struct.unpack_from("<HH", data, 26)
    return Picture(width & 0x3FFF, height & 0x3FFF, 3)
