"""Handle signals: the first ends a command cleanly, a second one immediately."""

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

# From Ctrl-C, from schedulers, and from a terminal that is closed. Windows has no SIGHUP.
_ENDING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class Interrupted(KeyboardInterrupt):
    """Exception raised by a signal that ends the command.

    Attributes:
      number: number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def get_exit_code(error: KeyboardInterrupt) -> int:
    """Return the exit code that a shell reports for the signal: 130, 143 or 129."""
    return 128 + (error.number if isinstance(error, Interrupted) else signal.SIGINT)


def end_at_once() -> None:
    """Make signals end the process silently, outside of :func:`heed_signals`.

    Call it only in the command's own process. By default, Python prints a traceback if a signal
    arrives while modules are imported.
    """
    for number in _ENDING:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _end)


def _end(number: int, frame: FrameType | None = None) -> None:
    with contextlib.suppress(OSError):
        if os.isatty(2):
            os.write(2, b"\x1b[?25h")  # show the cursor again, which a live display hides
    os._exit(128 + number)


@contextlib.contextmanager
def heed_signals(own_process: bool) -> Iterator[None]:
    """Raise :class:`Interrupted` in the main thread on the first signal inside a ``with`` block.

    Signals that the parent process set to be ignored (``nohup``) stay ignored. Outside the main
    thread nothing changes, because Python sets handlers only there.

    Args:
      own_process: whether the command has its own process. If so, a second signal ends it
        immediately, and Ctrl-C is handled as well, which otherwise is left to the calling
        program.
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
            # None is a handler that was not set from Python and could not be restored.
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
    """Defer signals inside a ``with`` block, while large modules are imported.

    Compiled modules do not expect exceptions during import, and some crash the process. If the
    command has its own process, which has not started any work yet, a signal ends it immediately;
    otherwise the exception is raised at the end of the block.
    """
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
    """State of one :func:`heed_signals` block.

    Attributes:
      loading: whether signals are deferred, see :func:`defer_signals`.
      waiting: number of the deferred signal, or None.
    """

    def __init__(self, own_process: bool) -> None:
        self._own_process = own_process
        self._came = self.loading = False
        self.waiting: int | None = None

    def handle(self, number: int, frame: FrameType | None) -> None:
        if self._own_process and self.loading:
            with contextlib.suppress(OSError):
                os.write(2, b"s3net: Interrupted before anything was started.\n")
            _end(number)
        if self._own_process and self._came:
            _end(number)
        self._came = True
        if self.loading:
            self.waiting = number
            return
        raise Interrupted(number)

    def send_again(self, unraisable: Any) -> None:
        """Send the signal again if its exception was raised where Python can only print it.

        This happens in destructors, for example. The signal is sent a moment later, since this hook
        still runs inside them.
        """
        error = unraisable.exc_value
        if not isinstance(error, Interrupted):
            sys.__unraisablehook__(unraisable)
            return
        self._came = False
        timer = threading.Timer(0.05, os.kill, (os.getpid(), error.number))
        timer.daemon = True
        timer.start()


_state: _State | None = None
"""State of the innermost :func:`heed_signals`, or None."""
