"""Picture files that tests need."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image as PilImage

__all__ = ["png_header", "save_lesion"]


def save_lesion(path: Path, seed: int = 0, shape: tuple[int, int] = (48, 64)) -> np.ndarray:
    """Writes a bright picture with a dark disc; returns the disc, (H, W) bool."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    disc = np.hypot(y - shape[0] / 2, x - shape[1] / 2) < min(shape) / 4
    grey = np.where(disc, 40, 225) + random.integers(-9, 10, shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    PilImage.fromarray(np.repeat(grey[..., None], 3, -1).astype(np.uint8)).save(path)
    return disc


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body
