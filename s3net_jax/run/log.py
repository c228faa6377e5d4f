"""``results.jsonl``: what a folder already holds, a line at a time, whatever happens."""

from __future__ import annotations

import errno
import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from s3net_jax.io import OutputError, write_bytes
from s3net_jax.io.errors import reason_of
from s3net_jax.io.regular import MAX_BYTES, open_regular
from s3net_jax.io.write import sync_file, sync_folder
from s3net_jax.run.lock import lock_file, locked
from s3net_jax.schema import RecordError, ResultName, check_result, parse_json, read_json

__all__ = ["Check", "ResultLog", "read_log"]

_START = b'{"stem": '
_TAIL = 1 << 16  # bytes looked at for the start of the last line, at first

Check = Callable[[Any], None]
"""Checks a parsed line; raises :class:`RecordError`."""


def read_log(path: Path, check: Check = check_result) -> list[dict[str, Any]]:
    """Read every line of a log, without changing it; a torn last line is left out.

    Raises:
      OutputError: it can't be read, or a line is none of this tool's.
    """
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            return _read_lines(file, path, check)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"{path} can't be read: {reason_of(error)}.") from None


class ResultLog:
    """The lines of ``results.jsonl``, by stem; of several for a stem the last one counts.

    The file is only ever appended to, a whole line at once and under a lock, so that several
    processes may share it, and several threads an object. A last line that was torn by a crash or
    a power cut is removed when the file is opened or appended to.

    Before results get their names, they are announced in a file beside it (``.writing-...``):
    what a killed run left behind without a line is then known as ours, and may be replaced.
    """

    def __init__(self, path: Path, process: int = 0, check: Check = check_result) -> None:
        """Read ``path`` if it exists.

        Args:
          path: log file.
          process: number of this process among those that share the folder.
          check: what a line must hold.

        Raises:
          OutputError: ``path`` is something else, or can't be read.
        """
        self.path = path
        self._records: dict[str, dict[str, Any]] = {}
        self._files: dict[str, set[str]] = {}
        self._marker = path.parent / f".writing-{process}.json"
        self._lock = threading.Lock()
        self.unfinished: set[str] = set()
        """Names of files that were begun, by this run or one that was killed, and not finished."""
        self.notes: list[str] = []
        """Sentences on files of earlier runs that were ignored."""
        for marker in _markers(path.parent):
            try:
                self.unfinished.update(read_json(marker, list[ResultName]))
            except RecordError as error:
                self.notes.append(f"{marker} is ignored ({error}).")
        try:
            handle = open_regular(path, os.O_RDWR)
        except FileNotFoundError:
            return
        except OSError as error:
            raise OutputError(f"{path} can't be opened to resume: {reason_of(error)}.") from None
        try:
            with os.fdopen(handle, "r+b") as file, locked(handle):
                records = _read_lines(file, path, check)
                _repair_end(handle)
        except OutputError:
            raise
        except OSError as error:
            raise OutputError(f"{path} can't be opened to resume: {reason_of(error)}.") from None
        for record in records:
            self._remember(record)

    def _remember(self, record: dict[str, Any]) -> None:
        self._records[record["stem"]] = record
        if record.get("outputs"):
            self._files[record["stem"]] = set(record["outputs"].values())

    def files_of(self, stem: str) -> set[str]:
        """Names of the files of the last result of ``stem``, a failure after it or not: if they
        are there, they are this tool's."""
        return self._files.get(stem, set())

    def records(self) -> list[dict[str, Any]]:
        """The record of each stem, failures too."""
        return list(self._records.values())

    def get(self, stem: str) -> dict[str, Any] | None:
        """The record of ``stem``, if there is one."""
        return self._records.get(stem)

    def result(self, stem: str) -> dict[str, Any] | None:
        """The record of ``stem``, if it is not that of a failure."""
        record = self._records.get(stem)
        return None if record is None or "error" in record else record

    def finished(self) -> list[dict[str, Any]]:
        """The records of inputs that were segmented, without failures."""
        return [record for record in self._records.values() if "error" not in record]

    @contextmanager
    def announced(self, names: list[str]) -> Iterator[None]:
        """Announce files while they are written, until their line is there, too. After an error
        the announcement stays, since some of the files may be there."""
        with self._lock:
            self.unfinished |= set(names)
            self._announce()
            # Otherwise a power cut could leave the files without the announcement.
            sync_folder(self.path.parent)
        yield
        with self._lock:
            self.unfinished -= set(names)
            self._announce()

    def _announce(self) -> None:
        if self.unfinished:
            write_bytes(self._marker, json.dumps(sorted(self.unfinished)).encode())
        else:
            self._marker.unlink(missing_ok=True)

    def settle(self) -> None:
        """Forget announcements that have served: of files that are not there, or whose result
        is. Call it at the end of a run; it never raises.

        What processes left that were killed is removed, too; a process that is alive holds the
        lock of its number, ``.running-N``.
        """
        done = {name for record in self.finished() for name in record.get("outputs", {}).values()}
        folder = self.path.parent
        with self._lock, suppress(OSError):
            self.unfinished = {
                name for name in self.unfinished - done if os.path.lexists(folder / name)
            }
            self._announce()
            for marker in _markers(folder):
                if marker != self._marker:
                    self._settle_other(marker)

    def _settle_other(self, marker: Path) -> None:
        number = marker.name.removeprefix(".writing-").removesuffix(".json")
        lock = self.path.parent / f".running-{number}"
        handle = lock_file(lock)
        if handle is None or handle < 0:
            return
        try:
            with suppress(RecordError):
                if self.unfinished.intersection(read_json(marker, list[ResultName])):
                    return
            marker.unlink(missing_ok=True)
        finally:
            with suppress(OSError):
                lock.unlink(missing_ok=True)
            os.close(handle)

    def put(self, *records: dict[str, Any]) -> None:
        """Add ``records``, on disk too; raises :class:`OutputError`, the file then as before."""
        # ASCII: names of files may hold what is no UTF-8, and other ends of lines.
        lines = "".join(json.dumps(record, allow_nan=False) + "\n" for record in records).encode()
        try:
            is_new = not os.path.lexists(self.path)
            handle = open_regular(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
            try:
                with locked(handle):
                    _append(handle, lines)
            finally:
                os.close(handle)
            if is_new:
                sync_folder(self.path.parent)
        except OutputError:
            raise
        except OSError as error:
            raise OutputError(f"{self.path} can't be written: {reason_of(error)}.") from None
        for record in records:
            self._remember(record)


def _append(handle: int, lines: bytes) -> None:
    """Write ``lines`` and wait until the disk has them; after an error the file is as before."""
    _repair_end(handle)  # another process may have died within a line
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


def _read_lines(file: BinaryIO, path: Path, check: Check) -> list[dict[str, Any]]:
    """Every line; a last one without an end counts if it is whole, and is left out if torn.

    Raises:
      OutputError: a line is none of this tool's.
    """
    records: list[dict[str, Any]] = []
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
                record = parse_json(line)
                check(record)
                records.append(record)
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


def _repair_end(handle: int) -> None:
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


def _markers(folder: Path) -> list[Path]:
    found = re.compile(r"\.writing-[0-9]{1,9}\.json")
    return [path for path in folder.glob(".writing-*.json") if found.fullmatch(path.name)]
