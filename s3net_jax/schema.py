"""Types of the records in s3net's own files, used for writing and for validation when reading.

``results.jsonl``, ``scores.jsonl``, ``run.json``, ``summary.json``, ``experiment.json`` and
``STEM.history.json`` may have been edited, damaged, or written by another program.
:func:`conform` checks a value against the types below. Unknown fields are kept and ignored, so
files from later versions can be read; fields that earlier versions did not write are optional.
"""

# No "from __future__ import annotations": it hides Required from TypedDict in Python 3.11.

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
"""Kinds of results; a result is a file ``STEM.KIND.SUFFIX``."""

_RESULT = re.compile(rf"(.+)\.({'|'.join(RESULT_KINDS)})\.(png|nii\.gz|tif|dcm|json)", re.DOTALL)
_LONGEST = 255  # largest number of bytes in a file name, the limit of common file systems


def _is_plain(name: str) -> bool:
    """Return whether ``name`` is a file name that cannot lead out of the folder it is joined to."""
    separators = {"/", os.sep, os.altsep or "/", "\0"}
    if not name or name in (".", "..") or any(sign in name for sign in separators):
        return False
    if os.name == "nt" and ":" in name:
        return False
    try:
        return len(os.fsencode(name)) <= _LONGEST
    except UnicodeEncodeError:  # half of a surrogate pair, which no file name contains
        return False


def is_result_name(name: str) -> bool:
    """Return whether ``name`` is the file name of a result, ``STEM.KIND.SUFFIX``."""
    return bool(_RESULT.fullmatch(name)) and _is_plain(name)


_Digest = Annotated[
    str, Rule("a SHA-256 (64 hexadecimal digits)", re.compile("[0-9a-f]{64}").fullmatch)
]
_Stem = Annotated[str, Rule("a file name without folders", _is_plain)]
ResultName = Annotated[str, Rule("the file name of a result, without folders", is_result_name)]


class FileRecord(TypedDict):
    """Size in bytes and digest of one file of a result."""

    size: Count
    sha256: _Digest


class ResultRecord(TypedDict, total=False):
    """One line of ``results.jsonl`` as read: a result, or a failure if it has ``error``.

    ``sha256`` is the digest of the input's bytes; earlier versions wrote null for inputs that had
    disappeared. ``files`` (file name → size and digest) is missing in results of earlier versions.
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
    """One line of ``results.jsonl`` as written for a result.

    Over pieces and seeds, ``steps`` is the median, ``loss`` the mean and ``seconds`` the sum.
    ``pieces`` is present if there are several, ``depth`` for volumes, and ``agreement`` (mean
    fraction of seeds that agree with the consensus) for several seeds.
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
    """One line of ``results.jsonl`` as written for a failure."""

    stem: str
    input: str
    config: str
    seed: int
    seeds: int
    error: str


class ScoreRecord(TypedDict):
    """One line of ``scores.jsonl``: DSC of one image, seed and setting.

    ``stem`` is only a key and not part of a file name.
    """

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
    """The engine of a run, in ``run.json``; ``workers`` and ``worker_device`` if it has workers."""

    engine: str
    batch: int | str
    workers: Count
    worker_device: str


class RunRecord(EngineRecord, total=False):
    """``run.json``; ``commit`` is the commit of the package's checkout, or null."""

    status: str
    started: str
    seconds: Seconds
    command: str
    inputs: Count
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
    """``experiment.json``: the experiment that a folder belongs to."""

    title: str
    shared: dict[str, Any]
    parts: dict[str, Any]


class FitHistory(TypedDict):
    """Course of one fit: one number per step, null if not finite.

    ``ce``, ``affine`` and ``spatial`` are the terms of S3-Net; ``terms`` holds those of other
    methods.
    """

    piece: Count
    seed: Count
    steps: Count
    loss: list[Number | None]
    ce: NotRequired[list[Number | None]]
    affine: NotRequired[list[Number | None]]
    spatial: NotRequired[list[Number | None]]
    terms: NotRequired[dict[str, list[Number | None]]]
    labels: list[Number | None]


class HistoryRecord(TypedDict):
    """``STEM.history.json``: the fits of one image or volume."""

    fits: list[FitHistory]


def check_result(record: Any) -> ResultRecord:
    """Check a line of ``results.jsonl`` and return it.

    Checked are the types of the fields and that the file names match the stem.

    Raises:
      RecordError: the record is invalid.
    """
    conform(record, ResultRecord, "")
    stem, outputs = record["stem"], record.get("outputs", {})
    for kind, name in outputs.items():
        found = _RESULT.fullmatch(name)
        if found is None or (found[1], found[2]) != (stem, kind):
            raise RecordError(
                f"outputs.{show_name(kind)} must be a file {show_name(f'{stem}.{kind}')}.*, got "
                f"{shorten(name)}"
            )
    for name in record.get("files", {}):
        if name not in outputs.values():
            raise RecordError(f"files contains {shorten(name)}, which is not among its outputs")
    return record


def check_score(record: Any) -> ScoreRecord:
    """Check a line of ``scores.jsonl`` and return it; raise :class:`RecordError` if invalid."""
    conform(record, ScoreRecord, "")
    return record


def read_json(path: Path, kind: Any) -> Any:
    """Read a JSON file and check it against one of the types above.

    Args:
      path: path of the file.
      kind: type of the record.

    Raises:
      RecordError: the file cannot be read or is invalid; the message is a clause.
    """
    try:
        value = parse_json(read_regular(path))
    except OSError as error:
        raise RecordError(f"it cannot be read: {get_reason(error)}") from None
    conform(value, kind, "")
    return value


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Write a record as indented JSON, atomically.

    Raises:
      OutputError: the file cannot be written.
    """
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def encode_lines(records: Iterable[Mapping[str, object]]) -> bytes:
    """Encode records as JSON lines.

    Non-ASCII characters are escaped, because file names may contain invalid UTF-8 and line
    separators.
    """
    return "".join(json.dumps(record, allow_nan=False) + "\n" for record in records).encode()
