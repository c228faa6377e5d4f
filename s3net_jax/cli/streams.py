"""Keep a command running when standard output or standard error fails.

A stream may be closed, a pipe without a reader, a file on a full disk, missing (``pythonw``) or
limited to ASCII. The command continues and drops text that cannot be written; its exit code reports
the failure.
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
    """A stream that never raises: after the first error it drops all text.

    Attributes:
      error: the first error, or None.
    """

    def __init__(self, stream: Any) -> None:
        """Wrap a stream.

        Args:
          stream: text stream, or any object with a method ``write``; None drops all text.
        """
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
        except (AttributeError, OSError, ValueError):  # ValueError: the stream is closed
            return False

    def _try(self, name: str, *text: str) -> None:
        if self._stream is None or self.error is not None:
            return
        method = getattr(self._stream, name)
        try:
            try:
                method(*text)
            except UnicodeEncodeError as error:
                method(*(_escape_unencodable(one, error.encoding) for one in text))
        except (OSError, ValueError) as error:
            self.error = error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _escape_unencodable(text: str, encoding: str) -> str:
    """Replace characters that ``encoding`` lacks by backslash escapes."""
    return text.encode(encoding, "backslashreplace").decode(encoding)


class Streams(NamedTuple):
    """Both output streams of a running command."""

    out: Outlet
    err: Outlet

    def choose_code(self, code: int) -> int:
        """Return the exit code of a command, taking failures of standard output into account.

        If standard output failed, a successful command ends with 141, as if SIGPIPE had ended it,
        when a pipe was closed, and otherwise with 1 and an error message. Its files are complete.

        Args:
          code: exit code of the command itself.
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
    # Windows reports EINVAL for a pipe whose other end is closed.
    return isinstance(error, BrokenPipeError) or (
        os.name == "nt" and isinstance(error, OSError) and error.errno == errno.EINVAL
    )


@contextlib.contextmanager
def guard_streams(own_process: bool) -> Iterator[Streams]:
    """Replace ``sys.stdout`` and ``sys.stderr`` by outlets for the duration of a command.

    Args:
      own_process: whether the process ends with the command, so its file descriptors may be
        changed.
    """
    if own_process:
        _open_missing_handles()
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


def _open_missing_handles() -> None:
    """Open the null device for closed standard handles.

    Otherwise the next opened file would get such a number, and text that a library prints would be
    written into that file.
    """
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
    """Discard the stream's buffer, which Python would fail to flush at exit."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)
