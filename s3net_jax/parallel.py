"""Processor cores: how many there are, and work shared out over them."""

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
"""Pixels of images that threads work on, about: twenty to thirty bytes each."""

_thread = threading.local()


def count_usable_cores() -> int:
    """Processor cores, as the system counts them, that this process may use; no more than
    ``PJRT_NPROC``, by which XLA is told the same."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    told = os.environ.get("PJRT_NPROC", "")
    return min(cores, int(told)) if told.isascii() and told.isdecimal() and int(told) else cores


def map_in_threads(function: Callable[[A], B], items: Collection[A], pixels: int) -> list[B]:
    """``function`` of every item, on several cores; for what lets other threads run meanwhile.
    Within one of these threads, one item after the other: the cores are busy already.

    ``pixels``: of an item's image; of large ones fewer are worked on at once."""
    threads = min(count_usable_cores(), len(items), PIXELS_HELD // max(pixels, 1))
    if threads < 2 or getattr(_thread, "one_of_many", False):
        return [function(item) for item in items]
    with ThreadPoolExecutor(threads, initializer=_mark_thread) as pool:
        return list(pool.map(function, items))


def _mark_thread() -> None:
    _thread.one_of_many = True
