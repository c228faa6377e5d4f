"""Record the content of an input when it is read, and detect later changes."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from s3net_jax.errors import InputError, get_reason
from s3net_jax.io import check_file, open_regular
from s3net_jax.run.inputs import Source

__all__ = ["Content", "digest_input", "join_digests", "read_content"]

# Nanoseconds. FAT stores times with a resolution of 2 s, so two changes within 2 s can leave the
# same time. If a file changed less than that before its digest, compare its content, not its times.
_RECENT = 2_000_000_000

_Stamp = tuple[int, int, int, int, int]


@dataclass(frozen=True)
class _File:
    path: Path
    digest: str
    stamp: _Stamp
    is_recent: bool


@dataclass(frozen=True)
class Content:
    """The content of an input's files at one moment.

    Attributes:
      digest: SHA-256 of the file, or of the sorted digests of several files.
      name: name of the input in messages.
      files: digest and state of each file.
    """

    digest: str
    name: str
    files: tuple[_File, ...]

    def check(self) -> None:
        """Check that no file has changed since it was digested.

        Compares size, times and identity. If they differ, or the file changed less than 2 s before
        its digest, compares the content.

        Raises:
          InputError: a file has changed or is missing.
        """
        for file in self.files:
            try:
                is_same = not file.is_recent and _read_stamp(os.stat(file.path)) == file.stamp
                if is_same or _digest_file(file.path).digest == file.digest:
                    continue
            except FileNotFoundError:
                raise InputError(
                    f"{self.name} was removed while it was segmented ({file.path.name} is missing):"
                    " restore it and repeat the command."
                ) from None
            except OSError as error:
                raise InputError(
                    f"{self.name} became unreadable while it was segmented ({file.path.name}: "
                    f"{get_reason(error)}): make it readable and repeat the command."
                ) from None
            raise InputError(
                f"{self.name} changed while it was segmented (new content in {file.path.name}): "
                "repeat the command once the file is complete."
            )


def read_content(source: Source) -> Content:
    """Digest the files of ``source``. Call :meth:`Content.check` after reading them.

    Files of a series that can't be opened are skipped, as the reader skips them.

    Raises:
      InputError: none of the files can be opened.
    """
    paths = _list_files(source)
    found: list[_File] = []
    problem: OSError | None = None
    for path in paths:
        try:
            found.append(_digest_file(path))
        except OSError as error:
            problem = error
    if not found:
        check_file(paths[0])
        assert problem is not None
        raise InputError(f"{source.path} can't be opened: {get_reason(problem)}.")
    return Content(join_digests([file.digest for file in found]), str(source.path), tuple(found))


def digest_input(source: Source) -> str | None:
    """Return the SHA-256 of the input (see :class:`Content`), or None if it can't be read."""
    try:
        return read_content(source).digest
    except InputError:
        return None


def join_digests(digests: Sequence[str]) -> str:
    """Return the only digest, or the SHA-256 of several in ascending order."""
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()


def _list_files(source: Source) -> list[Path]:
    """List all files of an input, including both files of a NIfTI pair."""
    files = list(source.files or (source.path,))
    for suffix, other in ((".hdr", ".img"), (".img", ".hdr")):
        if len(files) == 1 and files[0].suffix.lower() == suffix:
            files += [p for p in (files[0].with_suffix(other),) if p.is_file()]
            break
    return files


def _digest_file(path: Path) -> _File:
    with os.fdopen(open_regular(path, follow=True), "rb") as file:
        now = time.time_ns()
        before = _read_stamp(os.fstat(file.fileno()))
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        after = _read_stamp(os.fstat(file.fileno()))
    # If the file changed during the digest, the digest may mix two versions. Mark it as recent, so
    # that the check compares contents and reports the change.
    is_recent = before != after or max(before[3:]) > now - _RECENT
    return _File(path, digest, after, is_recent)


def _read_stamp(found: os.stat_result) -> _Stamp:
    """Return the attributes that change with the content of a file.

    The last one is ctime, which, unlike mtime, programs cannot set back.
    """
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
