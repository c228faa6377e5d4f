"""Lines of JSON on disk: read with their numbers, appended durably, repaired at the end."""

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
_TAIL = 1 << 16  # bytes sought for the start of the last line at first; a line has about 1 kB


def append_lines(handle: int, lines: bytes) -> None:
    """Write ``lines`` and wait until the disk has them; after an error the file is as before."""
    repair_end(handle)  # another process may have died within a line
    before = os.fstat(handle).st_size
    try:
        written = os.write(handle, lines)
        if written < len(lines):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync_file(handle)
    except OSError:
        with suppress(OSError):  # if not even this works, the next line begins with a repair
            os.ftruncate(handle, before)
        raise


def read_lines(file: BinaryIO, path: Path, check: Callable[[Any], R]) -> list[R]:
    """Read every line. A last one without an end counts if it is whole, and is left out if torn.

    Args:
      file: opened file.
      path: its path, for errors.
      check: takes a parsed line and returns it as a record; raises :class:`RecordError`.

    Raises:
      OutputError: a line is none of this tool's.
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
                f"{path} is not a list of results of this tool (line {number}: {error}): remove "
                "that line, or choose another output folder."
            ) from None
    return records


def _is_torn(line: bytes) -> bool:
    """Whether a last line without an end is the start of one of ours, not whole.

    After a power cut the end of a file may be zeros.
    """
    line = line.rstrip(b"\0")
    if not (line.startswith(_START) or _START.startswith(line)):
        return False  # not one of our lines: nothing of the file is touched
    try:
        parse_json(line)
    except RecordError:
        return True
    return False


def repair_end(handle: int) -> None:
    """Complete a last line that lacks only its end; remove one that is torn.

    Raises:
      OSError: it can't be repaired, or is none of ours.
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
        raise OSError(errno.EINVAL, "Its last line is not of this tool") from None
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
