"""Typed records of s3net's own files: written from these types, and checked against them when read.

``results.jsonl``, ``scores.jsonl``, ``run.json``, ``summary.json``, ``experiment.json`` and
``STEM.history.json`` may have been edited, damaged, or made by another program.
:func:`conform` checks a value against the types below. Fields that they do not name are kept and
ignored, so files of later versions can be read; fields that earlier versions did not write are
optional.
"""

# Without "from __future__ import annotations", which hides Required from TypedDict in Python 3.11.

import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, NotRequired, Required, TypedDict

from s3net_jax.conform import Rule, conform, parse_json, shorten, show_name
from s3net_jax.errors import RecordError, reason_of
from s3net_jax.io import read_regular, write_text

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
    """One line of ``results.jsonl`` as it is read: a result, or with ``error`` a failure.

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
    dsc: dict[str, list[_Number]]


class DeviceRecord(TypedDict):
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
    workers: _Count
    worker_device: str


class RunRecord(EngineRecord, total=False):
    """``run.json``. ``commit`` is that of the checkout the package ran from, or null."""

    status: str
    started: str
    seconds: _Seconds
    done: _Count
    skipped: _Count
    failed: _Count
    failures: list[str]
    notes: list[str]
    images_per_minute: _Number | None
    seconds_first_image: _Number | None
    seconds_median_later: _Number | None
    seed: _Count
    seeds: _Count
    process: _Count
    processes: _Count
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


class MeanRecord(TypedDict):
    """A mean over images with its bootstrap 95 % interval."""

    mean: _Number
    low: _Number
    high: _Number
    count: NotRequired[_Count]


class ComparisonRecord(MeanRecord):
    """A mean difference over images, with the two-sided p value of Wilcoxon's test."""

    p_value: _Number


class MethodRecord(TypedDict):
    """One method in a summary: ``protocols`` holds protocol → metric → mean."""

    images: _Count
    seconds: _Seconds
    protocols: dict[str, dict[str, MeanRecord]]


class EvaluationSummary(TypedDict):
    """``summary.json`` of an evaluation.

    ``comparisons`` holds method → blind DSC of ``reference`` minus its own.
    """

    methods: dict[str, MethodRecord]
    reference: str
    comparisons: dict[str, ComparisonRecord]
    protocols: dict[str, str]
    config: dict[str, Any]
    config_digest: str
    seed: _Count
    seeds: _Count
    failed: _Count
    failures: NotRequired[list[str]]
    versions: dict[str, str]
    commit: NotRequired[str | None]


class GridRow(TypedDict, total=False):
    """One row of a table of an ablation or a comparison.

    ``paper`` holds metric → figure; ``report`` is the evaluation's folder, or null. What follows
    is there if the row has been computed; ``difference`` is null for the reference itself.
    """

    method: Required[str]
    paper: Required[dict[str, _Number]]
    report: Required[str | None]
    images: _Count
    seconds: _Seconds
    protocols: dict[str, dict[str, MeanRecord]]
    difference: ComparisonRecord | None


class _DoneRecord(TypedDict):
    done: _Count
    of: _Count


class _FitSettings(TypedDict):
    seeds: _Count
    config: dict[str, Any]


class GridSummary(TypedDict):
    """``summary.json`` of an ablation or a comparison: ``data`` holds data set → rows."""

    kind: str
    title: str
    reference: str
    seed: _Count
    evaluations: _DoneRecord
    failed: _Count
    protocols: dict[str, str]
    data: dict[str, list[GridRow]]
    methods: dict[str, _FitSettings]
    versions: dict[str, str]
    commit: NotRequired[str | None]


class TuningRow(TypedDict):
    """One setting of a search: its numbers, what a user types for it, its mean DSC per protocol,
    and its blind DSC minus that of the base."""

    setting: dict[str, _Number]
    steps: _Count
    options: str
    protocols: dict[str, MeanRecord]
    difference: ComparisonRecord


class TuningSummary(TypedDict):
    """``summary.json`` of a search.

    ``base`` is the configuration before the search; ``best`` lists each setting once, with the
    number of steps that is best for it. ``left_out`` is the mean blind DSC of images whose setting
    and steps the other images have chosen; null for one image. ``means`` (protocol → settings ×
    steps) goes into ``table.csv`` instead of the file. ``curves`` are the blind means of the base
    and the best setting after each step; ``effects`` holds what is varied → value → the highest
    mean among the settings with this value.
    """

    kind: str
    title: str
    preset: str
    images: _DoneRecord
    settings: _Count
    steps: list[_Count]
    seed: _Count
    seeds: _Count
    base: TuningRow
    best: list[TuningRow]
    left_out: MeanRecord | None
    curves: dict[str, list[_Number]]
    effects: dict[str, dict[str, _Number]]
    means: NotRequired[dict[str, list[list[float]]]]
    protocols: dict[str, str]
    data: list[str]
    config: dict[str, Any]
    versions: dict[str, str]
    commit: NotRequired[str | None]


class FitHistory(TypedDict):
    """How one fit went: a number for each step; null where it was not finite."""

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
        raise RecordError(f"it can't be read: {reason_of(error)}") from None
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
