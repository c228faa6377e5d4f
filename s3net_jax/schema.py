"""Typed records of s3net's own files: written from these types, and checked against them when read.

``results.jsonl``, ``scores.jsonl``, ``run.json``, ``summary.json``, ``experiment.json`` and
``STEM.history.json`` may have been edited, damaged, or made by another program.
:func:`conform` checks a value against the types below. Fields that they do not name are kept and
ignored, so files of later versions can be read; fields that earlier versions did not write are
optional.
"""

# Without "from __future__ import annotations", which hides Required from TypedDict in Python 3.11.

import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, NotRequired, Required, TypedDict

from s3net_jax.conform import (
    Count,
    Number,
    Rule,
    Seconds,
    conform,
    parse_json,
    shorten,
    show_name,
)
from s3net_jax.errors import RecordError, get_reason
from s3net_jax.io import read_regular, write_text
from s3net_jax.summaries import (
    ComparisonRecord,
    EvaluationSummary,
    GridRow,
    GridSummary,
    MeanRecord,
    MethodRecord,
    TuningRow,
    TuningSummary,
)

__all__ = [
    "RESULT_KINDS",
    "ComparisonRecord",
    "DeviceRecord",
    "EngineRecord",
    "EvaluationSummary",
    "ExperimentRecord",
    "FailedRecord",
    "FileRecord",
    "FinishedRecord",
    "FitHistory",
    "GridRow",
    "GridSummary",
    "HistoryRecord",
    "MeanRecord",
    "MethodRecord",
    "RecordError",
    "ResultName",
    "ResultRecord",
    "RunRecord",
    "ScoreRecord",
    "TuningRow",
    "TuningSummary",
    "check_result",
    "check_score",
    "conform",
    "encode_lines",
    "is_result_name",
    "parse_json",
    "read_json",
    "write_json",
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


_Digest = Annotated[
    str, Rule("a SHA-256 (64 hexadecimal digits)", re.compile("[0-9a-f]{64}").fullmatch)
]
_Stem = Annotated[str, Rule("a file name without folders", _is_plain)]
ResultName = Annotated[str, Rule("the file name of a result, without folders", is_result_name)]


class FileRecord(TypedDict):
    """One file of a result, as it was written."""

    size: Count
    sha256: _Digest


class ResultRecord(TypedDict, total=False):
    """One line of ``results.jsonl`` as it is read: a result, or with ``error`` a failure.

    ``sha256`` is the digest of the input's bytes that were segmented; null was written by earlier
    versions for inputs that had vanished. ``files`` (file name → size and digest) is missing from
    results of earlier versions.
    """

    stem: Required[_Stem]
    input: str
    config: str
    seed: Count
    seeds: Count
    sha256: _Digest | None
    width: Count
    height: Count
    depth: Count
    pieces: Count
    steps: Count
    labels: Count
    target: list[Count]
    area: Count
    area_fraction: Number
    loss: Number | None
    seconds: Seconds
    agreement: Number
    notes: list[str]
    outputs: dict[str, ResultName]
    files: dict[ResultName, FileRecord]
    error: str


class FinishedRecord(TypedDict):
    """One line of ``results.jsonl`` as it is written for a result.

    ``steps`` is the median, ``loss`` the mean over pieces and seeds, ``seconds`` their sum.
    ``pieces`` is there if there are several, ``depth`` for a volume, ``agreement`` (mean fraction
    of seeds that agree with the consensus) for several seeds.
    """

    stem: str
    input: str
    config: str
    seed: int
    seeds: int
    sha256: str
    width: int
    height: int
    depth: NotRequired[int]
    pieces: NotRequired[int]
    steps: int
    labels: int
    target: list[int]
    area: int
    area_fraction: float
    loss: float | None
    seconds: float
    notes: list[str]
    agreement: NotRequired[float]
    outputs: dict[str, str]
    files: dict[str, FileRecord]


class FailedRecord(TypedDict):
    """One line of ``results.jsonl`` as it is written for a failure."""

    stem: str
    input: str
    config: str
    seed: int
    seeds: int
    error: str


class ScoreRecord(TypedDict):
    """One line of ``scores.jsonl``: DSC of one image, seed and setting. ``stem`` is a key, and
    names no file."""

    stem: str
    sha256: _Digest
    dsc: dict[str, list[Number]]


class DeviceRecord(TypedDict, total=False):
    """The machine of a run: ``devices`` in ``run.json``."""

    system: str
    processor: str
    threads: int
    backend: str
    devices: list[str]


class EngineRecord(TypedDict, total=False):
    """The engine of a run, in ``run.json``; ``workers`` and what they run on, where it has any."""

    engine: str
    batch: int | str
    workers: Count
    worker_device: str


class RunRecord(EngineRecord, total=False):
    """``run.json``. ``commit`` is that of the checkout the package ran from, or null."""

    status: str
    started: str
    seconds: Seconds
    done: Count
    skipped: Count
    failed: Count
    failures: list[str]
    notes: list[str]
    images_per_minute: Number | None
    seconds_first_image: Number | None
    seconds_median_later: Number | None
    seed: Count
    seeds: Count
    process: Count
    processes: Count
    config_digest: Required[str]
    config: dict[str, Any]
    versions: dict[str, str]
    commit: str | None
    devices: DeviceRecord
    implementations: dict[str, list[str]]


class ExperimentRecord(TypedDict):
    """``experiment.json``: whose folder it is."""

    title: str
    shared: dict[str, Any]
    parts: dict[str, Any]


class FitHistory(TypedDict):
    """How one fit went: a number for each step; null where it was not finite."""

    piece: Count
    seed: Count
    steps: Count
    loss: list[Number | None]
    ce: list[Number | None]
    affine: list[Number | None]
    spatial: list[Number | None]
    labels: list[Number | None]


class HistoryRecord(TypedDict):
    """``STEM.history.json``."""

    fits: list[FitHistory]


def check_result(record: Any) -> ResultRecord:
    """Check a line of ``results.jsonl`` and return it: types, and that its files are its stem's.

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
    return record


def check_score(record: Any) -> ScoreRecord:
    """Check a line of ``scores.jsonl`` and return it; raises :class:`RecordError`."""
    conform(record, ScoreRecord, "")
    return record


def read_json(path: Path, kind: Any) -> Any:
    """Read a JSON file of one of the types above.

    Raises:
      RecordError: why it can't be used, as a clause.
    """
    try:
        value = parse_json(read_regular(path))
    except OSError as error:
        raise RecordError(f"it can't be read: {get_reason(error)}") from None
    conform(value, kind, "")
    return value


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Write a record as JSON that a person can read, atomically.

    Raises:
      OutputError: it can't be written.
    """
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def encode_lines(records: Iterable[Mapping[str, object]]) -> bytes:
    """Encode records as lines of JSON.

    In ASCII: file names may hold what is not UTF-8, and other ends of lines.
    """
    return "".join(json.dumps(record, allow_nan=False) + "\n" for record in records).encode()
