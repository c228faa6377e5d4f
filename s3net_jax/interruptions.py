"""Signals that end a command: the first one in good order, a second one at once."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

__all__ = ["Interrupted", "defer_signals", "end_at_once", "get_exit_code", "heed_signals"]

# Ctrl-C; what a scheduler sends; what a terminal sends that is closed. Windows has no SIGHUP.
_ENDING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class Interrupted(KeyboardInterrupt):
    """A signal that ends the command; ``number`` says which."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def get_exit_code(error: KeyboardInterrupt) -> int:
    """As a shell reports a process that the signal killed: 130, 143 or 129."""
    return 128 + (error.number if isinstance(error, Interrupted) else signal.SIGINT)


def end_at_once() -> None:
    """Until :func:`heed_signals` and after it, signals end the process silently. For a
    process of its own: while modules are imported, Python would print a traceback."""
    for number in _ENDING:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _end)


def _end(number: int, frame: FrameType | None = None) -> None:
    with contextlib.suppress(OSError):
        if os.isatty(2):
            os.write(2, b"\x1b[?25h")  # a live display hides the cursor
    os._exit(128 + number)


@contextlib.contextmanager
def heed_signals(own_process: bool) -> Iterator[None]:
    """While the block runs, the first signal raises :class:`Interrupted` in the main thread.

    Signals that whoever started the process has asked to be ignored (``nohup``) stay ignored, and
    in another thread than the main one, where Python sets no handlers, nothing changes.

    Args:
      own_process: a second signal ends the process at once; Ctrl-C is heeded too, which elsewhere
        belongs to the program that called the command.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    global _state
    outer, _state = _state, _State(own_process)
    state = _state
    before: dict[int, Any] = {}
    hook = sys.unraisablehook
    try:
        for number in _ENDING:
            handler = signal.getsignal(number)
            # None: another language's, which could not be put back.
            if handler in (None, signal.SIG_IGN) or (number == signal.SIGINT and not own_process):
                continue
            before[number] = handler
            signal.signal(number, state.handle)
        if own_process:
            sys.unraisablehook = state.send_again
        yield
    finally:
        _state = outer
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def defer_signals() -> Iterator[None]:
    """While large modules are imported, signals raise nothing: compiled ones are not prepared for
    an exception, and some end the process with a crash. A process of its own, which has not begun
    anything, ends at once; elsewhere the exception is raised when the block ends."""
    state = _state
    if state is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    state.loading = True
    try:
        yield
    finally:
        state.loading = False
        if state.waiting is not None:
            number, state.waiting = state.waiting, None
            raise Interrupted(number)


class _State:
    """Whether a signal has come already.

    Attributes:
      loading: see :func:`defer_signals`.
      waiting: a signal that came meanwhile.
    """

    def __init__(self, own_process: bool) -> None:
        self._own_process = own_process
        self._came = self.loading = False
        self.waiting: int | None = None

    def handle(self, number: int, frame: FrameType | None) -> None:
        if self._own_process and self.loading:
            with contextlib.suppress(OSError):
                os.write(2, b"s3net: Interrupted; nothing was begun.\n")
            _end(number)
        if self._own_process and self._came:
            _end(number)
        self._came = True
        if self.loading:
            self.waiting = number
            return
        raise Interrupted(number)

    def send_again(self, unraisable: Any) -> None:
        """The exception came up where Python can only print it, as in a destructor: the signal is
        sent once more, a moment later."""
        error = unraisable.exc_value
        if not isinstance(error, Interrupted):
            sys.__unraisablehook__(unraisable)
            return
        self._came = False
        timer = threading.Timer(0.05, os.kill, (os.getpid(), error.number))
        timer.daemon = True
        timer.start()


_state: _State | None = None
"""Of the innermost :func:`heed_signals`."""
