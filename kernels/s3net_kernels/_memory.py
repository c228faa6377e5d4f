"""Keep freed memory in the process."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["keep_memory"]

# Option numbers of glibc's mallopt(3).
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8


def keep_memory() -> bool:
    """Make this process keep the memory it frees, for reuse by the next program.

    On a CPU, XLA allocates a program's memory at every call and frees it afterwards. By default
    glibc returns blocks of that size to the system, so the next call pays for its page faults
    again: a large part of the time of a step that is called in a loop from Python. After this
    call, the process keeps the memory of its peak use. XLA frees a call's memory slightly after
    its results are available, and small allocations fragment the heap in between, so many calls
    in quick succession can keep several times a program's working memory.

    The setting affects the whole process, so programs should call this function and libraries
    should not. Call it before JAX runs anything: existing threads may keep their old behaviour.

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
    # One arena shared by all threads, no mmap for large blocks, and no trimming of the heap's top:
    # together these keep every freed block in the process.
    wanted = ((_ARENA_MAX, 1), (_MMAP_MAX, 0), (_TRIM_THRESHOLD, -1))
    return all(mallopt(option, value) == 1 for option, value in wanted)
