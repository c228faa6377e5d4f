"""``results.jsonl``: what a folder already holds, a line at a time, whatever happens."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from s3net_jax.io import OutputError, write_bytes

__all__ = ["ResultLog"]

_START = b'{"stem": '


class ResultLog:
    """The lines of ``results.jsonl``, by stem; of several for a stem the last one counts.

    The file is only ever appended to, a whole line at once and under a lock, so that several
    processes may share it, and several threads an object. A last line that was torn by a crash is
    taken off when it is opened.

    Before results get their names, they are announced in a file beside it (``.writing-...``):
    what a killed run left behind without a line is then known as ours, and may be replaced.
    """

    def __init__(self, path: Path, process: int = 0) -> None:
        """Reads ``path`` if it exists.

        Args:
          path: of the log.
          process: of several that share the folder, each has its own number.

        Raises:
          OutputError: ``path`` is something else, or can't be read.
        """
        self.path = path
        self._records: dict[str, dict[str, Any]] = {}
        self._files: dict[str, set[str]] = {}
        self._marker = path.parent / f".writing-{process}.json"
        self._lock = threading.Lock()
        self.unfinished = _announced(path.parent)
        """Names of files that were begun, by this run or one that was killed, and not finished."""
        if not path.exists():
            return
        try:
            with path.open("r+b") as file, _locked(file.fileno()):
                content = _without_torn_line(file)
            for line in filter(str.strip, content.decode().split("\n")):
                self._remember(json.loads(line))
        except OSError as error:
            reason = (error.strerror or type(error).__name__).lower()
            raise OutputError(f"{path} can't be opened to be gone on with: {reason}.") from None
        except (ValueError, KeyError, TypeError, RecursionError):
            raise OutputError(
                f"{path} is not a list of results of this tool: choose another output folder."
            ) from None

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
        """Announces files while they are written; ends when their line is there, too. After an
        error the announcement stays, since some of the files may be there."""
        with self._lock:
            self.unfinished |= set(names)
            write_bytes(self._marker, json.dumps(sorted(self.unfinished)).encode())
        yield
        with self._lock:
            self.unfinished -= set(names)
            if self.unfinished:
                write_bytes(self._marker, json.dumps(sorted(self.unfinished)).encode())
            else:
                self._marker.unlink(missing_ok=True)

    def put(self, *records: dict[str, Any]) -> None:
        """Adds ``records``, on disk too; raises :class:`OutputError`, the file then as before."""
        # ASCII: names of files may hold what is no UTF-8, and other ends of lines.
        lines = "".join(json.dumps(record, allow_nan=False) + "\n" for record in records).encode()
        try:
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                with _locked(handle):
                    before = os.fstat(handle).st_size
                    try:
                        written = os.write(handle, lines)
                        if written < len(lines):
                            raise OSError(28, "No space left on device")
                    except OSError:
                        os.ftruncate(handle, before)
                        raise
                    os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            reason = (error.strerror or type(error).__name__).lower()
            raise OutputError(f"{self.path} can't be written: {reason}.") from None
        for record in records:
            self._remember(record)


def _without_torn_line(file: Any) -> bytes:
    """The content; a last line without an end is completed if it is whole, else taken off."""
    content = file.read()
    if not content or content.endswith(b"\n"):
        return content
    end = content.rfind(b"\n") + 1
    tail = content[end:]
    try:
        json.loads(tail)
        file.write(b"\n")
        return content + b"\n"
    except ValueError:
        if not (tail.startswith(_START) or _START.startswith(tail)):
            raise  # not one of our lines: nothing of the file is touched
    file.truncate(end)
    return content[:end]


def _announced(folder: Path) -> set[str]:
    names: set[str] = set()
    for marker in folder.glob(".writing-*.json"):
        try:
            names |= {str(name) for name in json.loads(marker.read_bytes())}
        except (OSError, ValueError, TypeError, RecursionError):
            continue
    return names


@contextmanager
def _locked(handle: int) -> Iterator[None]:
    """Alone among processes, where the system and the file system can do that."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError:  # some network file systems
        yield
        return
    try:
        yield
    finally:
        fcntl.flock(handle, fcntl.LOCK_UN)
