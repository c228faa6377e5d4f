"""Keep ``results.jsonl``, the log of the results in a folder, consistent even after a crash."""

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
    """Read all lines of a log without changing it; skip a torn last line.

    Args:
      path: log file.
      check: function that turns a parsed line into a record; raises :class:`RecordError`.

    Raises:
      OutputError: the file can't be read, or a line was not written by this tool.
    """
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            return read_lines(file, path, check)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"{path} can't be read: {get_reason(error)}.") from None


class RecordLog(Generic[R]):
    """Records in a file, by stem; the last record of a stem counts.

    Whole lines are appended under a lock, so several processes can share the file, and several
    threads can share the object. Opening the file or appending to it removes a last line that a
    crash or power cut has torn.
    """

    def __init__(self, path: Path, check: Callable[[Any], R]) -> None:
        """Read ``path`` if it exists.

        Args:
          path: log file.
          check: function that turns a parsed line into a record; raises :class:`RecordError`.

        Raises:
          OutputError: ``path`` is not a log of this tool, or can't be read or repaired.
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
        """Return the last record of each stem."""
        return list(self._records.values())

    def get(self, stem: str) -> R | None:
        """Return the last record of ``stem``, or None."""
        return self._records.get(stem)

    def put(self, *records: Mapping[str, object]) -> None:
        """Add ``records`` in memory and on disk.

        Raises:
          OutputError: the file can't be written; it is left as it was.
        """
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
    """The log of results, ``results.jsonl``.

    File names are announced in ``.writing-N.json`` before the files are written. If a run is killed
    before it adds a line to the log, the next run thus knows which files are incomplete results and
    may be replaced.
    """

    def __init__(self, path: Path, process: int = 0) -> None:
        """Read ``path`` if it exists.

        Args:
          path: log file.
          process: number of this process among those that share the folder.

        Raises:
          OutputError: ``path`` is not a log of this tool, or can't be read or repaired.
        """
        self._files: dict[str, set[str]] = {}
        self._marker = path.parent / f".writing-{process}.json"
        self._lock = threading.Lock()
        self.unfinished: set[str] = set()
        """Names of files that this run or a killed one announced but did not finish."""
        self.notes: list[str] = []
        """Sentences about files of earlier runs that were ignored."""
        for marker in _find_markers(path.parent):
            try:
                self.unfinished.update(read_json(marker, list[ResultName]))
            except RecordError as error:
                self.notes.append(f"{marker} is damaged and was ignored ({error}).")
        super().__init__(path, check_result)

    def _remember(self, records: Iterable[ResultRecord]) -> None:
        for record in records:
            self._records[record["stem"]] = record
            if record.get("outputs"):
                self._files[record["stem"]] = set(record.get("outputs", {}).values())

    def find_files(self, stem: str) -> set[str]:
        """Return the file names of the last result of ``stem``, even if a failure followed it.

        Existing files with these names were written by this tool.
        """
        return self._files.get(stem, set())

    def find_result(self, stem: str) -> ResultRecord | None:
        """Return the last record of ``stem``, or None if there is none or it is a failure."""
        record = self._records.get(stem)
        return None if record is None or "error" in record else record

    def list_finished(self) -> list[ResultRecord]:
        """Return the records of all inputs whose last record is not a failure."""
        return [record for record in self._records.values() if "error" not in record]

    @contextmanager
    def announce(self, names: Iterable[str]) -> Iterator[None]:
        """Announce files while they and their line are written.

        After an error the announcement remains, since some of the files may exist.
        """
        names = set(names)
        with self._lock:
            self.unfinished |= names
            self._write_marker()
            # Without this, a power cut could leave the files but lose the announcement.
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
        """Remove announcements of files that do not exist or whose result is complete.

        Also removes the announcements of killed processes; a living process is recognised by the
        lock ``.running-N``, which it holds. Call this at the end of a run; it ignores OSError.
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
