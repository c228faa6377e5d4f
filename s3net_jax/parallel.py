"""Count usable processor cores, distribute work over them, and keep it interruptible."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["PIXELS_HELD", "WORKER", "count_usable_cores", "map_in_threads", "run_in_thread"]

A = TypeVar("A")
B = TypeVar("B")
PIXELS_HELD = 1 << 26
"""Approximate largest number of pixels of all images that threads process at the same time. A pixel
takes 20 to 30 bytes, so this is about 1.3 to 2 GB."""
WORKER = "s3net-worker"
"""Name of the thread that runs the fits."""

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


def run_in_thread(compute: Callable[[], B]) -> B:
    """Run ``compute`` in another thread, so that Ctrl-C takes effect while compiled code runs."""
    results: list[B] = []
    errors: list[BaseException] = []
    finished = threading.Event()

    def work() -> None:
        try:
            results.append(compute())
        except BaseException as error:
            errors.append(error)
        finally:
            finished.set()

    thread = _start_thread(work)
    while not finished.wait(0.1):  # interrupting Thread.join would mark the thread as stopped
        pass
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _start_thread(work: Callable[[], None]) -> threading.Thread:
    """Start a thread with a large stack, because compilers recurse deeply.

    If memory is short, the stack has the default size instead.

    Raises:
      MemoryError: no thread can be started.
    """
    for size in (64 << 20, 0):
        before = threading.stack_size(size)
        thread = threading.Thread(target=work, name=WORKER, daemon=True)
        try:
            thread.start()
            return thread
        except RuntimeError:  # can't start new thread
            continue
        finally:
            threading.stack_size(before)
    raise MemoryError("no thread can be started")
