"""Count usable processor cores and distribute work over them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["PIXELS_HELD", "count_usable_cores", "map_in_threads"]

A = TypeVar("A")
B = TypeVar("B")
PIXELS_HELD = 1 << 26
"""Approximate largest number of pixels of all images that threads process at the same time. A pixel
takes 20 to 30 bytes, so this is about 1.3 to 2 GB."""

_thread = threading.local()


def count_usable_cores() -> int:
    """Return the number of logical cores that this process may use.

    ``PJRT_NPROC``, which limits the threads of XLA, is an upper bound.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    setting = os.environ.get("PJRT_NPROC", "")
    return (
        min(cores, int(setting))
        if setting.isascii() and setting.isdecimal() and int(setting)
        else cores
    )


def map_in_threads(function: Callable[[A], B], items: Collection[A], pixels: int) -> list[B]:
    """Map ``function`` over ``items`` in a thread pool.

    Useful only for functions that release the GIL. Calls from within one of the threads run
    sequentially, because all cores are already in use.

    Args:
      function: function of one item.
      items: items to map over.
      pixels: number of pixels of the image of one item; fewer threads are used for large images.

    Returns:
      Results in the order of ``items``.
    """
    threads = min(count_usable_cores(), len(items), PIXELS_HELD // max(pixels, 1))
    if threads < 2 or getattr(_thread, "one_of_many", False):
        return [function(item) for item in items]
    with ThreadPoolExecutor(threads, initializer=_mark_thread) as pool:
        return list(pool.map(function, items))


def _mark_thread() -> None:
    _thread.one_of_many = True
