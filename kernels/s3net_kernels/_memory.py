"""Freed memory that stays with the process."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["keep_memory"]

# glibc's mallopt(3).
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8


def keep_memory() -> bool:
    """Let this process keep the memory it frees, for the next program that needs some.

    XLA takes the memory of a program on a CPU anew at every call, and gives it back after it.
    By default glibc hands so large a piece back to the system, and the next call pays for its
    pages again: for a step that is called in a loop from Python, a good part of its time. After
    this call the process holds on to what it needed at its peak. XLA gives a call's memory back a
    little after its results are there, and small pieces come to lie in between: many calls right
    after one another take several times a program's working memory between them, and that stays
    taken. It holds for all of the process, so it is the program's to call, never a library's. Call
    it before JAX runs anything: threads that are there already may go on as they were.

    Returns:
      Whether it took effect: True on Linux with glibc, False elsewhere, where nothing changes.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    mallopt.argtypes, mallopt.restype = [ctypes.c_int, ctypes.c_int], ctypes.c_int
    # Large pieces come from the one heap all threads share, whose free end is never cut off.
    wanted = ((_ARENA_MAX, 1), (_MMAP_MAX, 0), (_TRIM_THRESHOLD, -1))
    return all(mallopt(option, value) == 1 for option, value in wanted)
