"""Results on disk, each complete or not there at all."""

from __future__ import annotations

import hashlib
import io
import os
import platform
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image as PilImage

from s3net_jax.io.colors import cluster_colors
from s3net_jax.io.errors import OutputError
from s3net_jax.io.resolution import Resolution, add_to_png

__all__ = [
    "make_folder",
    "remove_leftovers",
    "replacing",
    "write_bytes",
    "write_gray",
    "write_labels",
    "write_mask",
    "write_picture",
]

_UMASK = threading.Lock()
_HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def make_folder(path: str | os.PathLike[str]) -> Path:
    """The folder, made if need be and proven writable; raises :class:`OutputError` if it isn't."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise OutputError(f"Nothing can be written into {path}: {reason}.") from None
    return path


def remove_leftovers(folder: Path) -> None:
    """Deletes the temporary files that killed processes of this machine left in ``folder``."""
    for path in folder.glob(".*.tmp"):
        found = re.fullmatch(rf"\..+\.{_HOST}-(\d+)-\w+\.tmp", path.name)
        if found and not _alive(int(found[1])):
            path.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


def write_labels(path: Path, labels: np.ndarray, resolution: Resolution | None = None) -> None:
    """A label map as PNG whose pixel values are the labels.

    Up to 256 labels: 8 bits with a palette, so that it can be looked at. More: 16-bit grey.

    Args:
      path: ends in ``.png``.
      labels: (H, W) integers in 0..65535.
      resolution: of the picture, if it is known.
    """
    if labels.max(initial=0) < 256:
        picture = PilImage.fromarray(labels.astype(np.uint8))
        picture.putpalette(cluster_colors(256).tobytes())
    else:
        picture = PilImage.fromarray(labels.astype(np.uint16))
    write_picture(path, picture, resolution=resolution)


def write_mask(path: Path, mask: np.ndarray, resolution: Resolution | None = None) -> None:
    """A mask (H, W) bool as 8-bit grey PNG, 0 and 255."""
    picture = PilImage.fromarray(mask.astype(np.uint8) * np.uint8(255))
    write_picture(path, picture, resolution=resolution)


def write_gray(path: Path, shares: np.ndarray, resolution: Resolution | None = None) -> None:
    """Shares (H, W) in [0, 1] as 8-bit grey PNG, 0 to 255."""
    picture = PilImage.fromarray(np.round(shares * 255).astype(np.uint8))
    write_picture(path, picture, resolution=resolution)


def write_picture(
    path: Path,
    picture: PilImage.Image,
    effort: int = 6,
    resolution: Resolution | None = None,
) -> None:
    """A PIL image as PNG; ``effort``: zlib's level, 0 to 9. Of pictures with noise, the last levels
    cost much time and save few bytes."""
    with replacing(path) as file:
        if resolution is None:
            picture.save(file, format="PNG", compress_level=effort)
            return
        content = io.BytesIO()
        picture.save(content, format="PNG", compress_level=effort)
        file.write(add_to_png(content.getvalue(), resolution))


def write_bytes(path: Path, content: bytes) -> None:
    """A whole file."""
    with replacing(path) as file:
        file.write(content)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file under a temporary name in the same folder, moved to ``path`` when it is complete."""
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(
            prefix=f".{path.name}.{_HOST}-{os.getpid()}-", suffix=".tmp", dir=path.parent
        )
        with os.fdopen(handle, "w+b") as file:  # TIFF's writer reads back what it wrote
            yield file
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise OutputError(f"{path} can't be written: {reason}.") from None
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def _umask() -> int:
    with _UMASK:  # it can only be read by setting it
        mask = os.umask(0)
        os.umask(mask)
    return mask
