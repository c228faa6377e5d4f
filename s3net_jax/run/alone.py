"""One run at a time in a folder, apart from the processes that share it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from s3net_jax.io import OutputError
from s3net_jax.run.plan import Identity
from s3net_jax.run.share import Share

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

__all__ = ["alone"]

_PATIENCE = 0.5  # seconds: processes that start together look at each other's locks


@contextmanager
def alone(folder: Path, identity: Identity, share: Share) -> Iterator[None]:
    """Holds ``folder`` for this process's share of a run.

    Two runs that know nothing of one another would mix their results. Each process locks
    ``.running-N``, which the system unlocks when it dies. Where locks don't work (Windows, some
    network file systems) nothing is held.

    Raises:
      OutputError: another run is at work there: one of the same share, or of another
        configuration, seed or number of processes.
    """
    path = folder / f".running-{share.index}"
    handle = _lock(path, patience=_PATIENCE)
    if handle is None:
        yield
        return
    if handle < 0:
        raise _occupied(folder)
    try:
        mine = json.dumps([identity.config, identity.seed, identity.seeds, share.count]).encode()
        os.ftruncate(handle, 0)
        os.pwrite(handle, mine, 0)
        for other in folder.glob(".running-*"):
            if other != path and _held_for_something_else(other, mine):
                raise _occupied(folder)
        yield
    finally:
        # While it is locked: whoever opens it now finds, once it has the lock, that it is gone.
        path.unlink(missing_ok=True)
        os.close(handle)


def _lock(path: Path, patience: float = 0) -> int | None:
    """A handle with the lock; −1 if another process has it for ``patience`` seconds, None if there
    are no locks."""
    if fcntl is None:
        return None
    end = time.monotonic() + patience
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:
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


def _held_for_something_else(path: Path, mine: bytes) -> bool:
    """Whether a living process holds ``path``, and not for another share of this run."""
    handle = _lock(path)
    if handle is None or handle >= 0:
        if handle is not None:
            path.unlink(missing_ok=True)  # of a run that was killed
            os.close(handle)
        return False
    with suppress(OSError):
        return path.read_bytes() not in (b"", mine)
    return False


def _occupied(folder: Path) -> OutputError:
    return OutputError(
        f"Another run writes into {folder} now: wait until it ends, or choose another output "
        "folder."
    )
