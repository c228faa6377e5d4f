"""Read PGM and PPM files with more than 8 bits and PFM files, which PIL rescales or rejects."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

__all__ = ["Header", "read_header", "read_numbers"]

_HEAD = 4096  # bytes searched for the header; comments may be long, numbers are short
_SPACE = rb"(?:\s|#[^\n]*\n)"
_PATTERN = re.compile(
    rb"(P[2356fF])" + _SPACE + rb"+(\d{1,9})" + _SPACE + rb"+(\d{1,9})" + _SPACE + rb"+"
    rb"(-?[\d.]+(?:[eE][-+]?\d+)?)\s"
)


@dataclass(frozen=True)
class Header:
    """Header of a PNM or PFM file.

    Attributes:
      kind: magic letters; ``P2`` and ``P3`` store decimal text, the others binary numbers.
      size: (width, height) in pixels.
      scale: largest sample; for PFM the scale factor, negative if the file is little-endian.
      length: length of the header in bytes.
    """

    kind: str
    size: tuple[int, int]
    scale: float
    length: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the pixels, (H, W) or (H, W, 3)."""
        grey = self.kind in ("P2", "P5", "Pf")
        return (self.size[1], self.size[0]) if grey else (self.size[1], self.size[0], 3)


def read_header(path: Path) -> Header | None:
    """Read the header; return None for other formats and for 8 bits or fewer, which PIL reads."""
    with path.open("rb") as file:
        found = _PATTERN.match(file.read(_HEAD))
    if found is None:
        return None
    kind, width, height, scale = found.groups()
    header = Header(kind.decode(), (int(width), int(height)), float(scale), found.end())
    deep = kind in (b"Pf", b"PF") or 255 < header.scale < 65536
    return header if deep else None


def read_numbers(path: Path, header: Header) -> np.ndarray:
    """Read unscaled samples, (H, W) or (H, W, 3) uint16 or float32, first row on top.

    Raises:
      ValueError: the file is truncated, or a decimal sample does not fit into 16 bits.
    """
    count = int(np.prod(header.shape, dtype=np.int64))
    with path.open("rb") as file:
        file.seek(header.length)
        if header.kind in ("P2", "P3"):
            words = re.sub(rb"#[^\n]*", b"", file.read()).split()[:count]
            numbers = np.array(words).astype(np.int64)
            if numbers.size and not 0 <= numbers.min() <= numbers.max() < 65536:
                raise ValueError("a number is negative or above 65,535")
            numbers = numbers.astype(np.uint16)
        elif header.kind in ("P5", "P6"):
            numbers = np.frombuffer(file.read(2 * count), ">u2", -1).astype(np.uint16)
        else:
            dtype = "<f4" if header.scale < 0 else ">f4"
            numbers = np.frombuffer(file.read(4 * count), dtype, -1).astype(np.float32)
    if numbers.size < count:
        raise ValueError("its pixels end early")
    numbers = numbers.reshape(header.shape)
    # PFM stores rows from bottom to top.
    return numbers[::-1] if header.kind in ("Pf", "PF") else numbers
