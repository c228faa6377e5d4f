"""``results.jsonl``: what a folder already holds, a line at a time, whatever happens."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from s3net_jax.errors import OutputError, RecordError, reason_of
from s3net_jax.io import write_bytes
from s3net_jax.io.regular import open_regular
from s3net_jax.io.write import sync_folder
from s3net_jax.run.output.lines import Check, append_lines, read_lines, repair_end
from s3net_jax.run.output.lock import lock_file, locked
from s3net_jax.schema import ResultName, check_result, read_json

__all__ = ["Check", "ResultLog", "read_log"]


def read_log(path: Path, check: Check = check_result) -> list[dict[str, Any]]:
    """Read every line of a log, without changing it; a torn last line is left out.

    Raises:
      OutputError: it can't be read, or a line is none of this tool's.
    """
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            return read_lines(file, path, check)
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
                records = read_lines(file, path, check)
                repair_end(handle)
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
                    append_lines(handle, lines)
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


def _markers(folder: Path) -> list[Path]:
    found = re.compile(r"\.writing-[0-9]{1,9}\.json")
    return [path for path in folder.glob(".writing-*.json") if found.fullmatch(path.name)]
