"""Typed records: what s3net's own files may hold, checked when they are read.

``results.jsonl``, ``scores.jsonl``, ``run.json``, ``experiment.json`` and ``STEM.history.json`` may
have been edited, damaged, or made by somebody else. The types below say what each may hold;
:func:`conform` checks a value against them. Fields that they don't name are kept and ignored, so
that files of later versions can be read.
"""

# Without "from __future__ import annotations", which hides Required from TypedDict in Python 3.11.

import math
import os
import re
from pathlib import Path
from typing import Annotated, Any, Required, TypedDict

from s3net_jax.conform import Rule, conform, parse_json, shorten, show_name
from s3net_jax.errors import RecordError, reason_of
from s3net_jax.io.regular import read_regular

__all__ = [
    "RESULT_KINDS",
    "ExperimentRecord",
    "FileRecord",
    "HistoryRecord",
    "RecordError",
    "ResultName",
    "ResultRecord",
    "RunRecord",
    "ScoreRecord",
    "check_result",
    "check_score",
    "conform",
    "is_result_name",
    "parse_json",
    "read_json",
]

RESULT_KINDS = ("labels", "mask", "overlay", "agreement", "seg", "history", "steps")
"""``STEM.KIND.*`` are results."""

_RESULT = re.compile(rf"(.+)\.({'|'.join(RESULT_KINDS)})\.(png|nii\.gz|tif|dcm|json)", re.DOTALL)
_LONGEST = 255  # bytes of a name, in every file system in use


def _is_plain(name: str) -> bool:
    """Whether ``name``, followed by a suffix, is a file in the folder it is joined to."""
    separators = {"/", os.sep, os.altsep or "/", "\0"}
    if not name or name in (".", "..") or any(sign in name for sign in separators):
        return False
    if os.name == "nt" and ":" in name:
        return False
    try:
        return len(os.fsencode(name)) <= _LONGEST
    except UnicodeEncodeError:  # a half of a surrogate pair, which no name has
        return False


def is_result_name(name: str) -> bool:
    """Whether ``name`` is the name of a result, ``STEM.KIND.SUFFIX``, without any folder."""
    return bool(_RESULT.fullmatch(name)) and _is_plain(name)


# 2⁶³: what other readers of JSON can hold.
_Count = Annotated[int, Rule("a whole number of at least 0", lambda value: 0 <= value < 2**63)]
_Number = Annotated[float, Rule("a finite number", math.isfinite)]
_Seconds = Annotated[
    float, Rule("a number of at least 0", lambda value: math.isfinite(value) and value >= 0)
]
_Digest = Annotated[
    str, Rule("a SHA-256 (64 hexadecimal digits)", re.compile("[0-9a-f]{64}").fullmatch)
]
_Stem = Annotated[str, Rule("a file name without folders", _is_plain)]
ResultName = Annotated[str, Rule("the file name of a result, without folders", is_result_name)]


class FileRecord(TypedDict):
    """One file of a result, as it was written."""

    size: _Count
    sha256: _Digest


class ResultRecord(TypedDict, total=False):
    """One line of ``results.jsonl``: a result, or with ``error`` a failure.

    ``sha256`` is the digest of the input's bytes that were segmented; null was written by earlier
    versions for inputs that had vanished. ``files`` (file name → size and digest) is missing from
    results of earlier versions.
    """

    stem: Required[_Stem]
    input: str
    config: str
    seed: _Count
    seeds: _Count
    sha256: _Digest | None
    width: _Count
    height: _Count
    depth: _Count
    pieces: _Count
    steps: _Count
    labels: _Count
    target: list[_Count]
    area: _Count
    area_fraction: _Number
    loss: _Number | None
    seconds: _Seconds
    agreement: _Number
    notes: list[str]
    outputs: dict[str, ResultName]
    files: dict[ResultName, FileRecord]
    error: str


class ScoreRecord(TypedDict, total=False):
    """One line of ``scores.jsonl``: DSC of one image, seed and setting. ``stem`` is a key, and
    names no file."""

    stem: Required[str]
    sha256: Required[_Digest]
    dsc: Required[dict[str, list[_Number]]]


class RunRecord(TypedDict, total=False):
    """``run.json``: the fields that are read again."""

    status: str
    done: _Count
    skipped: _Count
    config_digest: Required[str]
    config: dict[str, Any]


class ExperimentRecord(TypedDict):
    """``experiment.json``: whose folder it is."""

    title: str
    shared: dict[str, Any]
    parts: dict[str, Any]


class _FitHistory(TypedDict):
    piece: _Count
    seed: _Count
    steps: _Count
    loss: list[_Number | None]
    ce: list[_Number | None]
    affine: list[_Number | None]
    spatial: list[_Number | None]
    labels: list[_Number | None]


class HistoryRecord(TypedDict):
    """``STEM.history.json``."""

    fits: list[_FitHistory]


def check_result(record: Any) -> None:
    """Check a line of ``results.jsonl``: types, and that its files are those of its stem.

    Raises:
      RecordError: what is wrong.
    """
    conform(record, ResultRecord, "")
    stem, outputs = record["stem"], record.get("outputs", {})
    for kind, name in outputs.items():
        found = _RESULT.fullmatch(name)
        if found is None or (found[1], found[2]) != (stem, kind):
            raise RecordError(
                f"outputs.{show_name(kind)} is {shorten(name)}, where a file "
                f"{show_name(f'{stem}.{kind}')}.* is expected"
            )
    for name in record.get("files", {}):
        if name not in outputs.values():
            raise RecordError(f"files names {shorten(name)}, which is not among its outputs")


def check_score(record: Any) -> None:
    """Check a line of ``scores.jsonl``; raises :class:`RecordError`."""
    conform(record, ScoreRecord, "")


def read_json(path: Path, kind: Any) -> Any:
    """Read a JSON file of one of the types above.

    Raises:
      RecordError: why it can't be used, as a clause.
    """
    try:
        value = parse_json(read_regular(path))
    except OSError as error:
        raise RecordError(f"it can't be read: {reason_of(error)}") from None
    conform(value, kind, "")
    return value
