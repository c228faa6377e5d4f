"""Results on disk, each complete or not there at all."""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image as PilImage

from s3net_jax.io.colors import cluster_colors
from s3net_jax.io.errors import OutputError
from s3net_jax.letters import encoded

__all__ = [
    "make_folder",
    "remove_leftovers",
    "replacing",
    "write_bytes",
    "write_gray",
    "write_labels",
    "write_mask",
    "write_picture",
    "write_text",
]

_HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:8]

# How a mount says that it can't rename a file, or not here: object stores behind FUSE, overlays.
_NO_RENAMING = (errno.ENOSYS, errno.ENOTSUP, errno.EXDEV)


def make_folder(path: str | os.PathLike[str]) -> Path:
    """The folder, made if need be and proven writable; raises :class:`OutputError` if it isn't."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        handle, trial = _create(path, "trial")
        os.close(handle)
        os.unlink(trial)
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


def write_labels(path: Path, labels: np.ndarray) -> None:
    """A label map as PNG whose pixel values are the labels.

    Up to 256 labels: 8 bits with a palette, so that it can be looked at. More: 16-bit grey.

    Args:
      path: ends in ``.png``.
      labels: (H, W) integers in 0..65535.
    """
    if labels.max(initial=0) < 256:
        picture = PilImage.fromarray(labels.astype(np.uint8))
        picture.putpalette(cluster_colors(256).tobytes())
    else:
        picture = PilImage.fromarray(labels.astype(np.uint16))
    write_picture(path, picture)


def write_mask(path: Path, mask: np.ndarray) -> None:
    """A mask (H, W) bool as 8-bit grey PNG, 0 and 255."""
    write_picture(path, PilImage.fromarray(mask.astype(np.uint8) * np.uint8(255)))


def write_gray(path: Path, shares: np.ndarray) -> None:
    """Shares (H, W) in [0, 1] as 8-bit grey PNG, 0 to 255."""
    write_picture(path, PilImage.fromarray(np.round(shares * 255).astype(np.uint8)))


def write_picture(path: Path, picture: PilImage.Image, effort: int = 6) -> None:
    """A PIL image as PNG; ``effort``: zlib's level, 0 to 9. Of pictures with noise, the last levels
    cost much time and save few bytes."""
    with replacing(path) as file:
        picture.save(file, format="PNG", compress_level=effort)


def write_bytes(path: Path, content: bytes) -> None:
    """A whole file."""
    with replacing(path) as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    """A whole text file in UTF-8; what UTF-8 does not hold is escaped (:func:`encoded`)."""
    write_bytes(path, encoded(text))


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file under a temporary name in the same folder, moved to ``path`` when it is complete."""
    temporary = None
    try:
        handle, temporary = _create(path.parent, path.name)
        with os.fdopen(handle, "w+b") as file:  # TIFF's writer reads back what it wrote
            yield file
        _move(temporary, path)
        temporary = None
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise OutputError(f"{path} can't be written: {reason}.") from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _create(folder: Path, name: str) -> tuple[int, Path]:
    """A new file with a temporary name: an open handle, and its path.

    The system takes the umask off its mode, so that nothing has to be changed afterwards: mounts
    such as CIFS and FUSE refuse chmod. A name that is taken is somebody else's; the chance that
    a random one is taken is nil.
    """
    path = folder / f".{name}.{_HOST}-{os.getpid()}-{secrets.token_hex(4)}.tmp"
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    return os.open(path, flags | getattr(os, "O_BINARY", 0), 0o666), path


def _move(temporary: Path, path: Path) -> None:
    """``temporary`` in the place of ``path``, at once; copied on mounts that can't rename."""
    try:
        os.replace(temporary, path)
    except OSError as error:
        if error.errno not in _NO_RENAMING:
            raise
        shutil.copyfile(temporary, path)
        temporary.unlink(missing_ok=True)
