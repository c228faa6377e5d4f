"""Write result files atomically."""

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
# Errors from file systems that do not support fsync of a file or a folder (CIFS, FUSE, some
# network mounts), or from folders that are writable but not readable. They are ignored. Others
# (EIO, ENOSPC) mean lost data and are reported.
_NO_FSYNC = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_NO_FOLDERS = _NO_FSYNC | {errno.EACCES, errno.EPERM, errno.EISDIR, errno.EBADF}
_AT_ONCE = 1 << 30  # bytes per write call: Linux writes at most 2 GiB, macOS rejects larger calls


@dataclass(frozen=True)
class Receipt:
    """Size in bytes and SHA-256 digest of a written file."""

    size: int
    sha256: str


_receipts: ContextVar[dict[str, Receipt] | None] = ContextVar("receipts", default=None)


@contextmanager
def collect_receipts() -> Iterator[dict[str, Receipt]]:
    """Collect a receipt for each file that this thread writes with :func:`replace_file`.

    Digests are computed from the bytes in memory, not read back from disk, so they can be used
    later to verify the content on disk.

    Yields:
      Dictionary from file name to receipt, filled as files are written.
    """
    found: dict[str, Receipt] = {}
    token = _receipts.set(found)
    try:
        yield found
    finally:
        _receipts.reset(token)


# Errors from mounts that cannot rename a file: object stores behind FUSE, overlay file systems.
_NO_RENAMING = (errno.ENOSYS, errno.ENOTSUP, errno.EXDEV)


def make_folder(path: str | os.PathLike[str]) -> Path:
    """Create a folder if needed, and check that files can be created in it.

    Raises:
      OutputError: the folder cannot be created or is not writable.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        handle, trial = _create(path, "trial")
        os.close(handle)
        os.unlink(trial)
    except OSError as error:
        raise OutputError(f"{path} is not a writable folder: {get_reason(error)}.") from None
    return path


def make_subfolder(folder: Path, *names: str) -> Path:
    """Create ``folder/NAME/...`` as in :func:`make_folder`, and check that it is in ``folder``.

    Raises:
      OutputError: the folder is not writable, or a symbolic link leads out of ``folder``.
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
    """Delete temporary files in ``folder`` from processes of this machine that were killed."""
    for path in folder.glob(".*.tmp"):
        found = re.fullmatch(rf"\..+\.{_HOST}-([0-9]{{1,9}})-\w+\.tmp", path.name, re.DOTALL)
        if found and not _is_alive(int(found[1])):
            with suppress(OSError):  # a folder with such a name was not created by us
                path.unlink(missing_ok=True)


def remove_file(path: Path) -> None:
    """Delete a file or link if it exists; raise :class:`OutputError` if that fails."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path} can't be deleted: {get_reason(error)}.") from None


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # EPERM: the process exists and belongs to another user
        return True
    return True


def write_labels(path: Path, labels: np.ndarray, resolution: Resolution | None = None) -> None:
    """Write a label map as a PNG whose pixel values are the labels.

    Labels below 256 are written as 8 bits with a palette of distinct colours, larger ones as
    16-bit grey.

    Args:
      path: path of the file; ends in ``.png``.
      labels: label map, (H, W) integers in 0..65535.
      resolution: pixel size of the image, or None if unknown.
    """
    if labels.max(initial=0) < 256:
        picture = PilImage.fromarray(labels.astype(np.uint8))
        picture.putpalette(make_cluster_colors(256).tobytes())
    else:
        picture = PilImage.fromarray(labels.astype(np.uint16))
    write_picture(path, picture, resolution=resolution)


def write_mask(path: Path, mask: np.ndarray, resolution: Resolution | None = None) -> None:
    """Write a mask, (H, W) bool, as an 8-bit grey PNG with values 0 and 255."""
    picture = PilImage.fromarray(mask.astype(np.uint8) * np.uint8(255))
    write_picture(path, picture, resolution=resolution)


def write_gray(path: Path, shares: np.ndarray, resolution: Resolution | None = None) -> None:
    """Write shares, (H, W) in [0, 1], as an 8-bit grey PNG with values 0 to 255."""
    picture = PilImage.fromarray(np.round(shares * 255).astype(np.uint8))
    write_picture(path, picture, resolution=resolution)


def write_picture(
    path: Path,
    picture: PilImage.Image,
    effort: int = 6,
    resolution: Resolution | None = None,
) -> None:
    """Write a PIL image as a PNG.

    Args:
      path: path of the file.
      picture: image to write.
      effort: zlib compression level, 0 to 9. On noisy images the highest levels take much longer
        and save few bytes.
      resolution: pixel size of the image, or None if unknown.
    """
    with replace_file(path) as file:
        if resolution is None:
            picture.save(file, format="PNG", compress_level=effort)
            return
        content = io.BytesIO()
        picture.save(content, format="PNG", compress_level=effort)
        file.write(add_to_png(content.getvalue(), resolution))


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to a file."""
    with replace_file(path) as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file; characters outside UTF-8 are escaped (:func:`encode`)."""
    write_bytes(path, encode(text))


@contextmanager
def replace_file(path: Path) -> Iterator[BinaryIO]:
    """Collect the content of a file in memory, then replace ``path`` atomically.

    The content is written to a temporary file in the same folder, synced to disk and then
    renamed, so neither a killed process nor a power cut leaves a partial file. A symbolic link at
    ``path`` is replaced, not followed. Call :func:`sync_folder` afterwards to make the rename
    durable. See also :func:`collect_receipts`.

    Yields:
      In-memory binary file to write to.

    Raises:
      OutputError: the file cannot be written.
    """
    temporary = None
    try:
        handle, temporary = _create(path.parent, path.name)
        try:
            file = io.BytesIO()  # in memory, since PIL's TIFF writer seeks and reads back
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
    """Flush an open file to disk; do nothing if the file system does not support it."""
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_FSYNC:
            raise


def sync_folder(folder: Path) -> None:
    """Flush the entries of ``folder`` to disk; do nothing if the file system does not support it.

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
        if error.errno not in _NO_FOLDERS and os.name != "nt":  # Windows cannot open folders
            raise OutputError(f"{folder} can't be written: {get_reason(error)}.") from None


def _create(folder: Path, name: str) -> tuple[int, Path]:
    """Create a file with a temporary name and return its open descriptor and its path.

    The file gets mode 0o666 less the umask at creation, which avoids a later chmod: mounts such
    as CIFS and FUSE reject it. O_EXCL never opens an existing file; the random part of the name
    makes a collision practically impossible, so there is no retry.
    """
    path = folder / f".{name}.{_HOST}-{os.getpid()}-{secrets.token_hex(4)}.tmp"
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    return os.open(path, flags | getattr(os, "O_BINARY", 0), 0o666), path


def _move(temporary: Path, path: Path) -> None:
    """Rename ``temporary`` to ``path`` atomically; copy it on mounts that cannot rename."""
    try:
        os.replace(temporary, path)
    except IsADirectoryError:
        os.rmdir(path)  # fails unless the folder is empty, so nothing is lost
        os.replace(temporary, path)
    except OSError as error:
        if error.errno not in _NO_RENAMING:
            raise
        shutil.copyfile(temporary, path)
        with path.open("rb+") as copy:
            sync_file(copy.fileno())
        temporary.unlink(missing_ok=True)
