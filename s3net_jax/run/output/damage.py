"""Whether the files of a result are still as they were written."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import NamedTuple

from s3net_jax.errors import get_reason
from s3net_jax.io import open_regular
from s3net_jax.schema import FileRecord, ResultRecord

__all__ = ["Damage", "find_damage"]


class Damage(NamedTuple):
    """A file of a result, and what is wrong with it, as a clause: ``is missing``."""

    name: str
    problem: str


def find_damage(folder: Path, record: ResultRecord) -> list[Damage]:
    """Compare the files of a result with what its record says of them.

    Each must be a regular file in ``folder`` (not a link: s3net writes none) with the size and
    the SHA-256 of what was written. Of results of earlier versions, whose records say neither, it
    must not be empty.

    Args:
      folder: holds the result.
      record: line of ``results.jsonl``, checked.
    """
    files = record.get("files", {})
    found = []
    for name in record.get("outputs", {}).values():
        problem = _check_file(folder / name, files.get(name))
        if problem:
            found.append(Damage(name, problem))
    return found


def _check_file(path: Path, written: FileRecord | None) -> str:
    try:
        state = os.lstat(path)
        if not stat.S_ISREG(state.st_mode):
            return _name_kind(state.st_mode)
        if state.st_size == 0:
            return "is empty (0 bytes)"
        if written is None:
            return ""
        if state.st_size != written["size"]:
            return f"has {state.st_size:,} bytes, but {written['size']:,} were written"
        if _compute_digest(path) != written["sha256"]:
            return "has other contents than were written"
    except (FileNotFoundError, NotADirectoryError):
        return "is missing"
    except OSError as error:
        return f"can't be read ({get_reason(error)})"
    return ""


def _name_kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "is a folder"
    return "is a symbolic link" if stat.S_ISLNK(mode) else "is a pipe or a device"


def _compute_digest(path: Path) -> str:
    with os.fdopen(open_regular(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
