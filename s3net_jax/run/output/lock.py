"""Locks: on a file, and on a folder for one run, where the system and the file system have them."""

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

__all__ = ["hold_folder", "hold_lock", "lock_file"]

_PATIENCE = 0.5  # seconds: processes that start together look at each other's locks
_LOCK = re.compile(r"\.running-[0-9]{1,9}")
# What stands where a lock belongs and is no file: a folder, a link, a pipe, a socket, a device.
_NO_FILE = {errno.EISDIR, errno.ELOOP, errno.EINVAL, errno.ENXIO}


@contextmanager
def hold_lock(handle: int) -> Iterator[None]:
    """Hold the lock of an open file, where the system and the file system have locks."""
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
    """Make and lock a file that its owner deletes at the end, while it is locked.

    Returns:
      A descriptor; −1 if another process holds the lock for ``patience`` seconds; None if there
      are no locks.

    Raises:
      OutputError: ``path`` is no file.
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
            os.close(handle)  # its last owner has just deleted it
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
    """Hold ``folder`` for one process of a run.

    Two runs that know nothing of one another would mix their results. Each process locks
    ``.running-N``, which the system unlocks when it dies. Where locks don't work (Windows, some
    network file systems) nothing is held.

    Args:
      folder: output folder.
      process: number of this process among those that share the folder.
      purpose: what those processes have in common, for JSON: configuration, seeds, their number.

    Raises:
      OutputError: another run is at work there: one with the same number, or of another
        purpose; or ``.running-N`` is no file.
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
        # While it is locked: whoever opens it now finds, once it has the lock, that it is gone.
        with suppress(OSError):
            path.unlink(missing_ok=True)
        os.close(handle)


def _write_purpose(handle: int, content: bytes, path: Path) -> None:
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, content, 0)
    except OSError as error:
        raise OutputError(f"{path} can't be written: {get_reason(error)}.") from None


def _is_held_for_other(path: Path, content: bytes) -> bool:
    """Whether a living process holds ``path`` for another purpose."""
    handle = lock_file(path)
    if handle is None or handle >= 0:
        if handle is not None:
            with suppress(OSError):
                path.unlink(missing_ok=True)  # of a run that was killed
            os.close(handle)
        return False
    with suppress(OSError):
        return read_regular(path) not in (b"", content)
    return False


def _refuse_folder(folder: Path) -> NoReturn:
    raise OutputError(
        f"Another run writes into {folder} now: wait until it ends, or choose another output "
        "folder."
    )
