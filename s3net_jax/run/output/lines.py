"""Read JSON lines, append them durably, and repair the end of their file."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from s3net_jax.errors import OutputError, RecordError
from s3net_jax.io import MAX_BYTES, sync_file
from s3net_jax.schema import parse_json

__all__ = ["append_lines", "read_lines", "repair_end"]

R = TypeVar("R")

_START = b'{"stem": '
_TAIL = 1 << 16  # bytes to read first in search of the last line, which has about 1 kB


def append_lines(handle: int, lines: bytes) -> None:
    """Append ``lines`` and wait until they are on disk; on an error, restore the file.

    Raises:
      OSError: the lines can't be written.
    """
    repair_end(handle)  # another process may have died in the middle of a line
    before = os.fstat(handle).st_size
    try:
        written = os.write(handle, lines)
        if written < len(lines):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync_file(handle)
    except OSError:
        with suppress(OSError):  # if this fails, too, the next append repairs the end
            os.ftruncate(handle, before)
        raise


def read_lines(file: BinaryIO, path: Path, check: Callable[[Any], R]) -> list[R]:
    """Read all lines. Without a newline, the last line is read if complete and skipped if torn.

    Args:
      file: open file.
      path: path of the file, for errors.
      check: function that turns a parsed line into a record; raises :class:`RecordError`.

    Raises:
      OutputError: a line was not written by this tool.
    """
    records: list[R] = []
    number = 0
    while line := file.readline(MAX_BYTES):
        number += 1
        try:
            if not line.endswith(b"\n"):
                if len(line) == MAX_BYTES:
                    raise RecordError(f"it has more than {MAX_BYTES >> 20} MiB")
                if _is_torn(line):
                    break
                line = line.rstrip(b"\0")
            if line.strip():
                records.append(check(parse_json(line)))
        except RecordError as error:
            raise OutputError(
                f"{path} is not a list of results (line {number}: {error}): remove that line, or "
                "choose another output folder."
            ) from None
    return records


def _is_torn(line: bytes) -> bool:
    """Return whether a last line without a newline is an incomplete line of this tool.

    After a power cut, a file may end in zeros.
    """
    line = line.rstrip(b"\0")
    if not (line.startswith(_START) or _START.startswith(line)):
        return False  # not a line of this tool: leave the file as it is
    try:
        parse_json(line)
    except RecordError:
        return True
    return False


def repair_end(handle: int) -> None:
    """Add a missing newline to a complete last line; remove a torn last line.

    Raises:
      OSError: the line can't be repaired, or was not written by this tool.
    """
    size = os.fstat(handle).st_size
    if size == 0 or _read_at(handle, size - 1, 1) == b"\n":
        return
    length = min(size, _TAIL)
    tail = _read_at(handle, size - length, length)
    while b"\n" not in tail and length < min(size, MAX_BYTES):
        length = min(size, 4 * length)
        tail = _read_at(handle, size - length, length)
    line = tail[tail.rfind(b"\n") + 1 :]
    if _is_torn(line):
        os.ftruncate(handle, size - len(line))
        return
    whole = line.rstrip(b"\0")
    try:
        parse_json(whole)
    except RecordError:
        raise OSError(errno.EINVAL, "Its last line was not written by s3net") from None
    os.ftruncate(handle, size - len(line) + len(whole))
    os.lseek(handle, 0, os.SEEK_END)
    if os.write(handle, b"\n") != 1:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _read_at(handle: int, place: int, count: int) -> bytes:
    os.lseek(handle, place, os.SEEK_SET)
    parts: list[bytes] = []
    while count > 0 and (part := os.read(handle, count)):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
