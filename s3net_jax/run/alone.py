"""One run at a time in a folder, apart from the processes that share it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from s3net_jax.errors import OutputError, reason_of
from s3net_jax.io.regular import read_regular
from s3net_jax.run.lock import lock_file
from s3net_jax.run.plan import Identity
from s3net_jax.run.share import Share

__all__ = ["alone"]

_PATIENCE = 0.5  # seconds: processes that start together look at each other's locks
_LOCK = re.compile(r"\.running-[0-9]{1,9}")


@contextmanager
def alone(folder: Path, identity: Identity, share: Share) -> Iterator[None]:
    """Holds ``folder`` for this process's share of a run.

    Two runs that know nothing of one another would mix their results. Each process locks
    ``.running-N``, which the system unlocks when it dies. Where locks don't work (Windows, some
    network file systems) nothing is held.

    Raises:
      OutputError: another run is at work there: one of the same share, or of another
        configuration, seed or number of processes; or ``.running-N`` is no file.
    """
    path = folder / f".running-{share.index}"
    handle = lock_file(path, patience=_PATIENCE)
    if handle is None:
        yield
        return
    if handle < 0:
        raise _occupied(folder)
    try:
        mine = json.dumps([identity.config, identity.seed, identity.seeds, share.count]).encode()
        _note(handle, mine, path)
        for other in folder.glob(".running-*"):
            ours = _LOCK.fullmatch(other.name) is not None
            if ours and other != path and _held_for_something_else(other, mine):
                raise _occupied(folder)
        yield
    finally:
        # While it is locked: whoever opens it now finds, once it has the lock, that it is gone.
        with suppress(OSError):
            path.unlink(missing_ok=True)
        os.close(handle)


def _note(handle: int, mine: bytes, path: Path) -> None:
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, mine, 0)
    except OSError as error:
        raise OutputError(f"{path} can't be written: {reason_of(error)}.") from None


def _held_for_something_else(path: Path, mine: bytes) -> bool:
    """Whether a living process holds ``path``, and not for another share of this run."""
    handle = lock_file(path)
    if handle is None or handle >= 0:
        if handle is not None:
            with suppress(OSError):
                path.unlink(missing_ok=True)  # of a run that was killed
            os.close(handle)
        return False
    with suppress(OSError):
        return read_regular(path) not in (b"", mine)
    return False


def _occupied(folder: Path) -> OutputError:
    return OutputError(
        f"Another run writes into {folder} now: wait until it ends, or choose another output "
        "folder."
    )
