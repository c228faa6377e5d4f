"""What an input held when it was read: its digest, and whether its files are still the same."""

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

__all__ = ["Content", "digest_input", "read_content"]

# A change so soon after another one may leave a file's times as they were: file systems keep them
# to as little as 2 s (FAT). Within this time before the digest the content is compared, not times.
_RECENT = 2_000_000_000  # ns

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
      digest: SHA-256 of the content; of several files that of their sorted digests.
      name: what messages call the input.
    """

    digest: str
    name: str
    files: tuple[_File, ...]

    def check(self) -> None:
        """Check that the files have not changed since.

        Size, times and identity are compared first. Where they differ, or the file was changed
        within the last 2 seconds before, its content is.

        Raises:
          InputError: one has changed, or is gone.
        """
        for file in self.files:
            try:
                is_same = not file.is_recent and _read_stamp(os.stat(file.path)) == file.stamp
                if is_same or _digest_file(file.path).digest == file.digest:
                    continue
            except FileNotFoundError:
                raise InputError(
                    f"{self.name} was removed while it was segmented ({file.path.name} is gone): "
                    "put it back and repeat the command."
                ) from None
            except OSError as error:
                raise InputError(
                    f"{self.name} can't be read any more ({file.path.name}: {get_reason(error)}): "
                    "make it readable and repeat the command."
                ) from None
            raise InputError(
                f"{self.name} changed while it was segmented ({file.path.name} has other content "
                "now): repeat the command when it is complete."
            )


def read_content(source: Source) -> Content:
    """Digest the files of ``source``; call :meth:`Content.check` once they have been read.

    Files of a series that can't be opened are left out, as reading does.

    Raises:
      InputError: none of its files can be opened.
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
    return Content(_join_digests([file.digest for file in found]), str(source.path), tuple(found))


def digest_input(source: Source) -> str | None:
    """SHA-256 of the input's content as :class:`Content` has it, or None if it can't be read."""
    try:
        return read_content(source).digest
    except InputError:
        return None


def _join_digests(digests: Sequence[str]) -> str:
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()


def _list_files(source: Source) -> list[Path]:
    """Every file whose content matters: of a NIfTI pair both."""
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
    # A file that changes while it is digested has no content that a digest could stand for; the
    # check compares it again.
    is_recent = before != after or max(before[3:]) > now - _RECENT
    return _File(path, digest, after, is_recent)


def _read_stamp(found: os.stat_result) -> _Stamp:
    """What a change of the content changes; the last one can't be set back by a program."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
