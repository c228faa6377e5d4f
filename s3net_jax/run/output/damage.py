"""Detect result files that are missing or differ from what was written."""

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
    """A damaged result file.

    Attributes:
      name: file name.
      problem: clause that follows the name, such as ``is missing``.
    """

    name: str
    problem: str


def find_damage(folder: Path, record: ResultRecord) -> list[Damage]:
    """Compare the files of a result with its record, and return all damaged files.

    Each file must be a regular file in ``folder`` (s3net writes no links) with the recorded size
    and SHA-256. Records of earlier versions have neither; their files must not be empty.

    Args:
      folder: folder with the result.
      record: checked record from ``results.jsonl``.
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
            return "has different contents than were written"
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
