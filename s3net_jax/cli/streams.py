"""Standard output and standard error that outlive their readers.

They may be closed, lead into a pipe that nobody reads any more, or onto a full disk; they may not
exist (``pythonw``), or know ASCII alone. Work goes on all the same: what can't be said is dropped,
and the end of the command tells.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

__all__ = ["Outlet", "Streams", "guard_streams"]


class Outlet:
    """A stream that never fails: after its first error it drops what is written, and keeps the
    error.

    Attributes:
      error: what went wrong, if anything.
    """

    def __init__(self, stream: Any) -> None:
        """``stream``: a text stream, or anything with a method ``write``; None drops it all."""
        self._stream = stream
        self.error: Exception | None = None

    def write(self, text: str) -> int:
        self._try("write", text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        if hasattr(self._stream, "flush"):
            self._try("flush")

    def isatty(self) -> bool:
        try:
            return bool(self._stream.isatty())
        except (AttributeError, OSError, ValueError):  # ValueError: it has been closed
            return False

    def _try(self, name: str, *text: str) -> None:
        if self._stream is None or self.error is not None:
            return
        method = getattr(self._stream, name)
        try:
            try:
                method(*text)
            except UnicodeEncodeError as error:
                method(*(_escape_foreign(one, error.encoding) for one in text))
        except (OSError, ValueError) as error:
            self.error = error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _escape_foreign(text: str, encoding: str) -> str:
    """Replace what ``encoding`` does not hold in ``text`` by escapes."""
    return text.encode(encoding, "backslashreplace").decode(encoding)


class Streams(NamedTuple):
    """Both streams while a command runs."""

    out: Outlet
    err: Outlet

    def choose_code(self, code: int) -> int:
        """Choose the exit code of a command that would end with ``code``.

        One whose output nobody took has not done all that it was asked for: 141, as if SIGPIPE
        had ended it, or 1 with a sentence. What it wrote into files is there.
        """
        self.out.flush()
        self.err.flush()
        error = self.out.error
        if error is None or code != 0:
            return code
        if _is_closed_pipe(error):
            return 141
        reason = (getattr(error, "strerror", None) or str(error)).lower().rstrip(".")
        self.err.write(f"s3net: Standard output can't be written: {reason}.\n")
        return 1


def _is_closed_pipe(error: Exception) -> bool:
    # Windows says EINVAL of a pipe whose other end is closed.
    return isinstance(error, BrokenPipeError) or (
        os.name == "nt" and isinstance(error, OSError) and error.errno == errno.EINVAL
    )


@contextlib.contextmanager
def guard_streams(own_process: bool) -> Iterator[Streams]:
    """Put outlets in the place of ``sys.stdout`` and ``sys.stderr``.

    Args:
      own_process: the process ends with the command, so its file descriptors are ours.
    """
    if own_process:
        _fill_gaps()
    before = sys.stdout, sys.stderr
    streams = Streams(Outlet(sys.stdout), Outlet(sys.stderr))
    sys.stdout, sys.stderr = streams
    try:
        yield streams
    finally:
        for outlet in streams:
            outlet.flush()
        sys.stdout, sys.stderr = before
        if own_process:
            for outlet, stream in zip(streams, before, strict=True):
                if outlet.error is not None:
                    _silence(stream)


def _fill_gaps() -> None:
    """Open the null device for standard handles that are closed: the next file to be opened would
    get their number, and what a library prints would end up in it."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            with contextlib.suppress(OSError):
                opened = os.open(os.devnull, os.O_RDWR)
                if opened != number:
                    os.dup2(opened, number)
                    os.close(opened)
                os.set_inheritable(number, True)


def _silence(stream: Any) -> None:
    """Discard what is still in the stream's buffer: Python would complain when it ends."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)
