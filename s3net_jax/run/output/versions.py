"""Keep earlier versions of results, and replace a result so that no kill can damage it.

The current version of a result is in the output folder. Earlier ones are in ``versions/STEM/N/``:
the files that a later version replaced, and ``record.json``, their line of ``results.jsonl``.
A result is replaced in three steps:

1. Its files are copied to ``versions/STEM/N/``, and the new ones written to ``versions/STEM/N+1/``.
2. The new record is added to the log. From here on, the new version is the valid one.
3. The new files are moved to the output folder.

A process that is killed before step 2 leaves files that :meth:`Versions.repair` deletes; after step
2, ``repair`` repeats step 3. To undo, step 2 adds the earlier record, and step 3 moves its files.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping, Set
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from s3net_jax.errors import InputError, OutputError, RecordError, get_reason
from s3net_jax.io import make_subfolder, open_regular, sync_file, sync_folder
from s3net_jax.run.output.damage import find_damage
from s3net_jax.run.output.log import ResultLog
from s3net_jax.schema import (
    RESULT_KINDS,
    FileRecord,
    ResultRecord,
    check_result,
    is_result_name,
    read_json,
    write_json,
)

__all__ = ["VERSIONS", "Versions", "get_version"]

VERSIONS = "versions"
"""Folder of the earlier versions, in an output folder."""

_RECORD = "record.json"


def get_version(record: Mapping[str, Any]) -> int:
    """Return the number of a result's version, from 1."""
    return record.get("version", 1)


class Versions:
    """The versions of the results in one output folder.

    The caller holds the lock of the folder (:func:`hold_folder`).
    """

    def __init__(self, folder: Path, log: ResultLog) -> None:
        self._folder, self._log = folder, log

    def replace(
        self,
        old: ResultRecord,
        write: Callable[[Path], ResultRecord],
    ) -> ResultRecord:
        """Replace a result by a new version.

        Args:
          old: record of the present result, whose files are intact.
          write: function that writes the new files to a folder and returns the new record, with all
            ``outputs`` and ``files``, also of files that do not change.

        Returns:
          The new record, with its ``version``.

        Raises:
          OutputError: a file can't be written.
        """
        stem, number = old["stem"], get_version(old)
        old = self._add_digests(old)
        self._delete(stem, number)  # leftovers of a process that was killed
        try:
            place = self._make(stem, number + 1)
            record = write(place)
            record["version"] = number + 1
            sync_folder(place)
            self._keep(old, record)
        except BaseException:
            self._delete(stem, number)
            raise
        self._log.put(record)
        self._settle(record)
        return record

    def undo(self, stem: str) -> ResultRecord | None:
        """Restore the version before the present one, and forget the present one.

        Returns:
          The restored record, or None if there is no earlier version.

        Raises:
          InputError: the earlier version is damaged.
          OutputError: a file can't be written.
        """
        present = self._log.find_result(stem)
        if present is None:
            return None
        earlier = [n for n in self._list_numbers(stem) if n < get_version(present)]
        if not earlier:
            return None
        record = self._read(stem, max(earlier))
        self._log.put(record)
        self._settle(record, set(present.get("outputs", {}).values()))
        return record

    def locate(self, stem: str, number: int, name: str) -> Path:
        """Return the path of a file of version ``number``.

        A version keeps only files that the next version replaced, so an unchanged file is with a
        later version or in the output folder.
        """
        for later in sorted(n for n in self._list_numbers(stem) if n >= number):
            kept = self._folder / VERSIONS / stem / str(later) / name
            if kept.is_file():
                return kept
        return self._folder / name

    def repair(self) -> None:
        """Complete or revert what a killed process left, and delete what is no longer needed."""
        base = self._folder / VERSIONS
        if not base.is_dir() or base.is_symlink():
            return
        for place in list(base.iterdir()):
            record = self._log.find_result(place.name)
            numbers = self._list_numbers(place.name)
            if record is not None and numbers and max(numbers) >= get_version(record):
                self._settle(record)

    def forget(self, stem: str) -> None:
        """Delete all earlier versions of a result, because a new fit has replaced it."""
        self._delete(stem, 0)

    def _settle(self, record: ResultRecord, replaced: Set[str] = frozenset()) -> None:
        """Move the files of the recorded version to the output folder; delete later versions.

        Args:
          record: record of the valid version.
          replaced: file names of the version that it replaces, which may have further files.
        """
        stem, number = record["stem"], get_version(record)
        damaged = {damage.name for damage in find_damage(self._folder, record)}
        for name in damaged:
            ready = self._folder / VERSIONS / stem / str(number) / name
            written = record.get("files", {}).get(name)
            if written is not None and _compute_record(ready) == written:
                _move(ready, self._folder / name)
        known = self._list_known_files(stem) | replaced
        for name in known - set(record.get("outputs", {}).values()):
            _remove(self._folder / name)
        sync_folder(self._folder)
        self._delete(stem, number)

    def _keep(self, old: ResultRecord, new: ResultRecord) -> None:
        """Copy the files of ``old`` that ``new`` replaces or does not have."""
        place = self._make(old["stem"], get_version(old))
        files, later = old.get("files", {}), new.get("files", {})
        for name in old.get("outputs", {}).values():
            if files.get(name) != later.get(name):
                _copy(self._folder / name, place / name)
        write_json(place / _RECORD, cast("dict[str, object]", old))
        sync_folder(place)

    def _add_digests(self, record: ResultRecord) -> ResultRecord:
        """Add the digests of files that earlier releases did not record."""
        if record.get("files"):
            return record
        names = record.get("outputs", {}).values()
        found = {name: _compute_record(self._folder / name) for name in names}
        files = {name: one for name, one in found.items() if one is not None}
        return cast(ResultRecord, {**record, "files": files})

    def _read(self, stem: str, number: int) -> ResultRecord:
        path = self._folder / VERSIONS / stem / str(number) / _RECORD
        try:
            record = check_result(read_json(path, ResultRecord))
            if record["stem"] != stem or get_version(record) != number or "error" in record:
                raise RecordError("it belongs to another result")
        except RecordError as error:
            raise InputError(
                f"{path} is damaged ({error}): delete its folder; this version is lost."
            ) from None
        for name in record.get("outputs", {}).values():
            written = record.get("files", {}).get(name)
            found = self.locate(stem, number, name)
            if written is None or _compute_record(found) != written:
                raise InputError(
                    f"{found} is missing or has different contents than were written, so the "
                    f"earlier version of {stem} can't be restored: segment the input again with "
                    "--overwrite."
                )
        return record

    def _make(self, stem: str, number: int) -> Path:
        place = make_subfolder(self._folder, VERSIONS, stem, str(number))
        for folder in (self._folder, place.parent.parent, place.parent):
            sync_folder(folder)
        return place

    def _list_numbers(self, stem: str) -> list[int]:
        place = self._folder / VERSIONS / stem
        if place.is_symlink() or not place.is_dir():
            return []
        return [
            int(one.name)
            for one in place.iterdir()
            if one.name.isascii() and one.name.isdecimal() and not one.is_symlink() and one.is_dir()
        ]

    def _list_known_files(self, stem: str) -> set[str]:
        """List names of result files that versions of ``stem`` have."""
        places = (self._folder / VERSIONS / stem / str(n) for n in self._list_numbers(stem))
        names = {path.name for place in places for path in place.iterdir()}
        kinds = {name: name.removeprefix(f"{stem}.").split(".")[0] for name in names}
        return {n for n in names if kinds[n] in RESULT_KINDS and is_result_name(n)}

    def _delete(self, stem: str, first: int) -> None:
        """Delete the folders of versions from ``first`` on, and empty folders above them."""
        base = self._folder / VERSIONS
        numbers = [number for number in self._list_numbers(stem) if number >= first]
        if not numbers:
            return
        for number in numbers:
            place = base / stem / str(number)
            for path in list(place.iterdir()):
                _remove(path)
            with suppress(OSError):  # somebody has put a folder there
                place.rmdir()
        for place in (base / stem, base):
            with suppress(OSError):  # not empty, or not there
                place.rmdir()


def _compute_record(path: Path) -> FileRecord | None:
    """Return size and digest of a regular file, or None if it can't be read."""
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return {"size": os.fstat(file.fileno()).st_size, "sha256": digest}
    except OSError:
        return None


def _copy(source: Path, target: Path) -> None:
    """Copy a file by a hard link where possible: results are replaced, never changed in place."""
    try:
        with suppress(OSError, NotImplementedError):  # depends on file system and platform
            os.link(source, target, follow_symlinks=False)
            return
        shutil.copyfile(source, target, follow_symlinks=False)
        handle = open_regular(target, os.O_RDWR)
        try:
            sync_file(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise OutputError(f"{target} can't be written: {get_reason(error)}.") from None


def _move(source: Path, target: Path) -> None:
    try:
        os.replace(source, target)
    except FileNotFoundError:
        pass  # another process of a distributed run has moved it
    except OSError as error:
        raise OutputError(f"{target} can't be written: {get_reason(error)}.") from None


def _remove(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path} can't be deleted: {get_reason(error)}.") from None
