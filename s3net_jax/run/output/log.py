"""``results.jsonl``: what a folder already holds, a line at a time, whatever happens."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from s3net_jax.errors import OutputError, RecordError, get_reason
from s3net_jax.io import open_regular, sync_folder, write_bytes
from s3net_jax.run.output.lines import append_lines, read_lines, repair_end
from s3net_jax.run.output.lock import hold_lock, lock_file
from s3net_jax.schema import ResultName, ResultRecord, check_result, encode_lines, read_json

__all__ = ["RecordLog", "ResultLog", "read_log"]

R = TypeVar("R", bound=Mapping[str, Any])


def read_log(path: Path, check: Callable[[Any], R] = check_result) -> list[R]:
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
        raise OutputError(f"{path} can't be read: {get_reason(error)}.") from None


class RecordLog(Generic[R]):
    """Records in a file, by stem; of several for a stem the last one counts.

    The file is only ever appended to, a whole line at once and under a lock, so that several
    processes may share it, and several threads an object. A last line that was torn by a crash or
    a power cut is removed when the file is opened or appended to.
    """

    def __init__(self, path: Path, check: Callable[[Any], R]) -> None:
        """Read ``path`` if it exists.

        Args:
          path: log file.
          check: takes a parsed line and returns it as a record; raises :class:`RecordError`.

        Raises:
          OutputError: ``path`` is something else, or can't be read.
        """
        self.path = path
        self._records: dict[str, R] = {}
        try:
            handle = open_regular(path, os.O_RDWR)
        except FileNotFoundError:
            return
        except OSError as error:
            raise OutputError(f"{path} can't be opened to resume: {get_reason(error)}.") from None
        try:
            with os.fdopen(handle, "r+b") as file, hold_lock(handle):
                records = read_lines(file, path, check)
                repair_end(handle)
        except OutputError:
            raise
        except OSError as error:
            raise OutputError(f"{path} can't be opened to resume: {get_reason(error)}.") from None
        self._remember(records)

    def _remember(self, records: Iterable[R]) -> None:
        self._records.update((record["stem"], record) for record in records)

    def list_records(self) -> list[R]:
        """Return the record of each stem."""
        return list(self._records.values())

    def get(self, stem: str) -> R | None:
        """Return the record of ``stem``, if there is one."""
        return self._records.get(stem)

    def put(self, *records: Mapping[str, object]) -> None:
        """Add ``records``, on disk too; raises :class:`OutputError`, the file then as before."""
        try:
            is_new = not os.path.lexists(self.path)
            handle = open_regular(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
            try:
                with hold_lock(handle):
                    append_lines(handle, encode_lines(records))
            finally:
                os.close(handle)
            if is_new:
                sync_folder(self.path.parent)
        except OutputError:
            raise
        except OSError as error:
            raise OutputError(f"{self.path} can't be written: {get_reason(error)}.") from None
        self._remember(cast("Iterable[R]", records))


class ResultLog(RecordLog[ResultRecord]):
    """The lines of ``results.jsonl``.

    Before results get their names, they are announced in a file beside it (``.writing-...``):
    what a killed run left behind without a line is then known as ours, and may be replaced.
    """

    def __init__(self, path: Path, process: int = 0) -> None:
        """Read ``path`` if it exists.

        Args:
          path: log file.
          process: number of this process among those that share the folder.

        Raises:
          OutputError: ``path`` is something else, or can't be read.
        """
        self._files: dict[str, set[str]] = {}
        self._marker = path.parent / f".writing-{process}.json"
        self._lock = threading.Lock()
        self.unfinished: set[str] = set()
        """Names of files that were begun, by this run or one that was killed, and not finished."""
        self.notes: list[str] = []
        """Sentences on files of earlier runs that were ignored."""
        for marker in _find_markers(path.parent):
            try:
                self.unfinished.update(read_json(marker, list[ResultName]))
            except RecordError as error:
                self.notes.append(f"{marker} is ignored ({error}).")
        super().__init__(path, check_result)

    def _remember(self, records: Iterable[ResultRecord]) -> None:
        for record in records:
            self._records[record["stem"]] = record
            if record.get("outputs"):
                self._files[record["stem"]] = set(record.get("outputs", {}).values())

    def find_files(self, stem: str) -> set[str]:
        """Return names of the files of the last result of ``stem``, a failure after it or not: if
        they are there, they are this tool's."""
        return self._files.get(stem, set())

    def find_result(self, stem: str) -> ResultRecord | None:
        """Return the record of ``stem``, if it is not that of a failure."""
        record = self._records.get(stem)
        return None if record is None or "error" in record else record

    def list_finished(self) -> list[ResultRecord]:
        """Return the records of inputs that were segmented, without failures."""
        return [record for record in self._records.values() if "error" not in record]

    @contextmanager
    def announce(self, names: Iterable[str]) -> Iterator[None]:
        """Announce files while they are written, until their line is there, too. After an error
        the announcement stays, since some of the files may be there."""
        names = set(names)
        with self._lock:
            self.unfinished |= names
            self._write_marker()
            # Otherwise a power cut could leave the files without the announcement.
            sync_folder(self.path.parent)
        yield
        with self._lock:
            self.unfinished -= names
            self._write_marker()

    def _write_marker(self) -> None:
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
        outputs = [record.get("outputs", {}) for record in self.list_finished()]
        done = {name for names in outputs for name in names.values()}
        folder = self.path.parent
        with self._lock, suppress(OSError):
            self.unfinished = {
                name for name in self.unfinished - done if os.path.lexists(folder / name)
            }
            self._write_marker()
            for marker in _find_markers(folder):
                if marker != self._marker:
                    self._settle_marker(marker)

    def _settle_marker(self, marker: Path) -> None:
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


def _find_markers(folder: Path) -> list[Path]:
    found = re.compile(r"\.writing-[0-9]{1,9}\.json")
    return [path for path in folder.glob(".writing-*.json") if found.fullmatch(path.name)]
