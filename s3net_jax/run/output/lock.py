"""Lock files, and lock an output folder for one run, where the system supports locks."""

from __future__ import annotations

import errno
import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from s3net_jax.errors import OutputError, get_reason
from s3net_jax.io import open_regular, read_regular

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

__all__ = ["hold_folder", "hold_lock", "is_folder_held", "lock_file", "release_file"]

_PATIENCE = 0.5  # seconds; processes of one run that start together briefly lock each other's files
_LOCK = re.compile(r"\.running-[0-9]{1,9}")
# Errors if a lock's path is not a regular file: folder, link, pipe, socket or device.
_NO_FILE = {errno.EISDIR, errno.ELOOP, errno.EINVAL, errno.ENXIO}


@contextmanager
def hold_lock(handle: int) -> Iterator[None]:
    """Hold the exclusive lock of an open file; do nothing where locks are not supported."""
    if fcntl is None:
        yield
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError:  # some network file systems
        yield
        return
    try:
        yield
    finally:
        fcntl.flock(handle, fcntl.LOCK_UN)


def lock_file(path: Path, patience: float = 0) -> int | None:
    """Create and lock a file; its owner deletes it before releasing the lock.

    Args:
      path: lock file.
      patience: seconds to wait for the lock.

    Returns:
      A descriptor; −1 if another process still holds the lock after ``patience`` seconds; None if
      locks are not supported.

    Raises:
      OutputError: ``path`` is not a regular file.
    """
    if fcntl is None:
        return None
    end = time.monotonic() + patience
    while True:
        try:
            handle = open_regular(path, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            if error.errno in _NO_FILE:
                raise OutputError(
                    f"{path} can't be used as a lock: {get_reason(error)}. Remove it, or choose "
                    "another output folder."
                ) from None
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.stat(path), os.fstat(handle)):
                    return handle
            os.close(handle)  # its last owner has just deleted this file: create it again
        except BlockingIOError:
            os.close(handle)
            if time.monotonic() >= end:
                return -1
            time.sleep(0.02)
        except OSError:
            os.close(handle)
            return None


@contextmanager
def hold_folder(folder: Path, process: int, purpose: Sequence[Any]) -> Iterator[None]:
    """Lock ``folder`` for one process of a run, so that two runs can't mix their results.

    Each process locks ``.running-N``, and the system releases the lock if the process dies. Where
    locks are not supported (Windows, some network file systems), nothing is locked.

    Args:
      folder: output folder.
      process: number of this process among those that share the folder.
      purpose: values that are equal for all processes of a run and can be stored as JSON:
        configuration, seeds, number of processes.

    Raises:
      OutputError: another run is writing into the folder, with the same process number or another
        purpose; or ``.running-N`` is not a regular file.
    """
    path = folder / f".running-{process}"
    handle = lock_file(path, patience=_PATIENCE)
    if handle is None:
        yield
        return
    if handle < 0:
        _refuse_folder(folder)
    try:
        content = json.dumps(list(purpose)).encode()
        _write_purpose(handle, content, path)
        for other in folder.glob(".running-*"):
            ours = _LOCK.fullmatch(other.name) is not None
            if ours and other != path and _is_held_for_other(other, content):
                _refuse_folder(folder)
        yield
    finally:
        release_file(path, handle)


def release_file(path: Path, handle: int) -> None:
    """Delete a file that :func:`lock_file` has locked, and release the lock.

    The file is deleted while it is locked: a process that has opened it notices, after it gets the
    lock, that the file is gone, and creates a new one.
    """
    try:
        with suppress(OSError):
            path.unlink(missing_ok=True)
    finally:
        os.close(handle)


def is_folder_held(folder: Path) -> bool | None:
    """Return whether a living process is writing results into ``folder``.

    None if locks are not supported.
    """
    if fcntl is None:
        return None
    for path in folder.glob(".running-*"):
        if not _LOCK.fullmatch(path.name):
            continue
        try:
            handle = lock_file(path)
        except OutputError:  # not a regular file
            continue
        if handle is None:
            return None
        if handle < 0:
            return True
        release_file(path, handle)  # left by a run that was killed
    return False


def _write_purpose(handle: int, content: bytes, path: Path) -> None:
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, content, 0)
    except OSError as error:
        raise OutputError(f"{path} can't be written: {get_reason(error)}.") from None


def _is_held_for_other(path: Path, content: bytes) -> bool:
    """Return whether a living process holds ``path`` for another purpose."""
    handle = lock_file(path)
    if handle is None or handle >= 0:
        if handle is not None:
            release_file(path, handle)  # left by a run that was killed
        return False
    with suppress(OSError):
        return read_regular(path) not in (b"", content)
    return False


def _refuse_folder(folder: Path) -> NoReturn:
    raise OutputError(
        f"Another run is writing into {folder}: wait until it ends, or choose another output "
        "folder."
    )
