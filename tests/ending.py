"""The command `s3net` in a process that sends itself a signal at a chosen moment of its work.

    python -m tests.ending SIGNAL LINES OPERATIONS segment in --out out

A test that watches a run from outside may find that it has ended: on a busy machine it is late.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

__all__ = ["ending_command"]

_OPERATIONS = ("open", "os.remove", "os.rename")


def ending_command(
    number: signal.Signals, *arguments: str, lines: int = 0, operations: int = 1
) -> list[str]:
    """Build the command line of an `s3net` that sends itself the signal `number`.

    Args:
      number: signal, sent just before an operation on a file below the working folder: that a file
        is opened, renamed or removed.
      *arguments: the arguments of `s3net`.
      lines: lines that the logs below the working folder have by then, all together, and kept fits
        of unfinished results.
      operations: which operation it is, counted from 1, of those at which `lines` are there.
    """
    numbers = map(str, (int(number), lines, operations))
    return [sys.executable, "-m", "tests.ending", *numbers, *arguments]


def _watch(number: int, lines: int, operations: int) -> None:
    folder = os.getcwd() + os.sep
    lock, busy = threading.Lock(), threading.local()
    left = operations

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event not in _OPERATIONS or getattr(busy, "counting", False):
            return
        if not isinstance(arguments[0], (str, os.PathLike)):  # a file that is open already
            return
        if not os.path.abspath(arguments[0]).startswith(folder):
            return
        busy.counting = True  # reading the logs opens files
        try:
            with lock:
                if left and _count_lines() >= lines:
                    left -= 1
                    if left == 0:
                        os.kill(os.getpid(), number)
        finally:
            busy.counting = False

    def _count_lines() -> int:
        if not lines:
            return 0
        names = ("results.jsonl", "scores.jsonl")
        logged = sum(p.read_bytes().count(b"\n") for name in names for p in Path().rglob(name))
        return logged + sum(1 for _ in Path().rglob("unfinished/*/*.fit"))

    sys.addaudithook(hook)


if __name__ == "__main__":
    _watch(*map(int, sys.argv[1:4]))
    del sys.argv[1:4]
    from s3net_jax.__main__ import main

    sys.exit(main())
