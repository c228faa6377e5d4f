"""Locks on files, where the system and the file system have them."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from s3net_jax.errors import OutputError, reason_of
from s3net_jax.io.regular import open_regular

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

__all__ = ["lock_file", "locked"]

# What stands where a lock belongs and is no file: a folder, a link, a pipe, a socket, a device.
_NO_FILE = {errno.EISDIR, errno.ELOOP, errno.EINVAL, errno.ENXIO}


@contextmanager
def locked(handle: int) -> Iterator[None]:
    """Keep other processes out, where the system and the file system can do that."""
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
                    f"{path} can't be used as a lock: {reason_of(error)}. Remove it, or choose "
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
