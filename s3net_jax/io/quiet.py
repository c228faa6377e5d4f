"""Silence warnings from the libraries that read and write files."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["silence_warnings"]

# The warning filters are one list shared by all threads: two threads changing it at the same time
# would restore each other's filters. Reentrant, because one reader may call another.
_LOCK = threading.RLock()


@contextmanager
def silence_warnings() -> Iterator[None]:
    """Ignore all warnings inside a ``with`` block; only one thread at a time may be in it."""
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
