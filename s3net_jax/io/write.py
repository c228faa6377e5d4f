"""Write results so that each is complete on disk, or not there at all."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import platform
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image as PilImage

from s3net_jax.errors import OutputError, get_reason
from s3net_jax.io.colors import make_cluster_colors
from s3net_jax.io.resolution import Resolution, add_to_png
from s3net_jax.text import encode

__all__ = [
    "Receipt",
    "collect_receipts",
    "make_folder",
    "make_subfolder",
    "remove_file",
    "remove_leftovers",
    "replace_file",
    "sync_file",
    "sync_folder",
    "write_bytes",
    "write_gray",
    "write_labels",
    "write_mask",
    "write_picture",
    "write_text",
]

_HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
# What file systems answer that have no fsync of a file or a folder (CIFS, FUSE, some network
# mounts), or where a folder may be written but not read. Anything else (EIO, ENOSPC) means that
# data were lost, and is an error.
_NO_FSYNC = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_NO_FOLDERS = _NO_FSYNC | {errno.EACCES, errno.EPERM, errno.EISDIR, errno.EBADF}
_AT_ONCE = 1 << 30  # bytes a call: Linux writes at most 2 GiB, macOS refuses more


@dataclass(frozen=True)
class Receipt:
    """What was written into a file: its number of bytes, and their SHA-256."""

    size: int
    sha256: str


_receipts: ContextVar[dict[str, Receipt] | None] = ContextVar("receipts", default=None)


@contextmanager
def collect_receipts() -> Iterator[dict[str, Receipt]]:
    """Collect a receipt for each file that this thread completes with :func:`replace_file`.

    The digests are those of the bytes in memory: nothing is read back from the disk, so what the
    disk holds can be compared with them later.

    Yields:
      File name → receipt; filled while files are written.
    """
    found: dict[str, Receipt] = {}
    token = _receipts.set(found)
    try:
        yield found
    finally:
        _receipts.reset(token)


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
        raise OutputError(f"Nothing can be written into {path}: {get_reason(error)}.") from None
    return path


def make_subfolder(folder: Path, *names: str) -> Path:
    """Make ``folder/NAME/...`` as :func:`make_folder` does; it must lie inside ``folder``.

    Raises:
      OutputError: it can't be written, or a symbolic link leads out of ``folder``.
    """
    path = folder.joinpath(*names)
    base, place = os.path.realpath(folder), os.path.realpath(path)
    if os.path.commonpath([base, place]) != base:
        raise OutputError(
            f"{path} is a link that leads out of {folder}: remove the link, or choose another "
            "output folder."
        )
    return make_folder(path)


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files that killed processes of this machine left in ``folder``."""
    for path in folder.glob(".*.tmp"):
        found = re.fullmatch(rf"\..+\.{_HOST}-([0-9]{{1,9}})-\w+\.tmp", path.name, re.DOTALL)
        if found and not _is_alive(int(found[1])):
            with suppress(OSError):  # a folder of such a name is not ours
                path.unlink(missing_ok=True)


def remove_file(path: Path) -> None:
    """Delete a file or link, if it is there; raises :class:`OutputError` if that fails."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path} can't be deleted: {get_reason(error)}.") from None


def _is_alive(process: int) -> bool:
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
        picture.putpalette(make_cluster_colors(256).tobytes())
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
    with replace_file(path) as file:
        if resolution is None:
            picture.save(file, format="PNG", compress_level=effort)
            return
        content = io.BytesIO()
        picture.save(content, format="PNG", compress_level=effort)
        file.write(add_to_png(content.getvalue(), resolution))


def write_bytes(path: Path, content: bytes) -> None:
    """A whole file."""
    with replace_file(path) as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    """A whole text file in UTF-8; what UTF-8 does not hold is escaped (:func:`encode`)."""
    write_bytes(path, encode(text))


@contextmanager
def replace_file(path: Path) -> Iterator[BinaryIO]:
    """Collect a file in memory, then put it in the place of ``path`` at once.

    The bytes go to a temporary file in the same folder, to the disk, and only then under their
    name: neither a kill nor a power cut leaves half a file. A link at ``path`` is replaced, not
    followed. :func:`sync_folder` makes the name itself last. See :func:`collect_receipts`.
    """
    temporary = None
    try:
        handle, temporary = _create(path.parent, path.name)
        try:
            file = io.BytesIO()  # TIFF's writer reads back what it wrote
            yield file
            content = file.getbuffer()
            _write_all(handle, content)
            sync_file(handle)
        finally:
            os.close(handle)
        _move(temporary, path)
        temporary = None
    except OSError as error:
        raise OutputError(f"{path} can't be written: {get_reason(error)}.") from None
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
    found = _receipts.get()
    if found is not None:
        found[path.name] = Receipt(len(content), hashlib.sha256(content).hexdigest())


def _write_all(handle: int, content: memoryview) -> None:
    done = 0
    while done < len(content):
        written = os.write(handle, content[done : done + _AT_ONCE])
        if written == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done += written


def sync_file(handle: int) -> None:
    """Wait until the data of an open file are on the disk, where the file system can do that."""
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_FSYNC:
            raise


def sync_folder(folder: Path) -> None:
    """Wait until the names in ``folder`` are on the disk, where the file system can do that.

    Raises:
      OutputError: the disk reports an error.
    """
    try:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in _NO_FOLDERS and os.name != "nt":  # Windows opens no folders
            raise OutputError(f"{folder} can't be written: {get_reason(error)}.") from None


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
    except IsADirectoryError:
        os.rmdir(path)  # only if it is empty, so that nothing is lost
        os.replace(temporary, path)
    except OSError as error:
        if error.errno not in _NO_RENAMING:
            raise
        shutil.copyfile(temporary, path)
        with path.open("rb+") as copy:
            sync_file(copy.fileno())
        temporary.unlink(missing_ok=True)
