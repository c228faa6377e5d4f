"""Warnings of the libraries that read and write, kept from the user."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["silence_warnings"]

# Python's filters are one list for all threads: two that changed it at once would put back what
# the other had set. Reentrant, since a reader may call another.
_LOCK = threading.RLock()


@contextmanager
def silence_warnings() -> Iterator[None]:
    """No warnings meanwhile; one thread after another."""
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
