"""Types of the records in s3net's own files, used for writing and for validation when reading.

``results.jsonl``, ``scores.jsonl``, ``run.json``, ``summary.json``, ``experiment.json`` and
``STEM.history.json`` may have been edited, damaged, or written by another program.
:func:`conform` checks a value against the types below. Unknown fields are kept and ignored, so
files from later versions can be read; fields that earlier versions did not write are optional.
"""

# No "from __future__ import annotations": it hides Required from TypedDict in Python 3.11.

import json
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
from s3net_jax.result_names import (
    RESULT_KINDS,
    Digest,
    ResultName,
    Stem,
    is_result_name,
    split_result_name,
)
from s3net_jax.run_records import (
    DeviceRecord,
    EngineRecord,
    NetworkRecord,
    OutputRecord,
    RunRecord,
    SharedRecord,
    TrainingRecord,
)
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
    "Measures",
    "MeasuresRecord",
    "MethodRecord",
    "NetworkRecord",
    "OutputRecord",
    "RecordError",
    "ResultName",
    "ResultRecord",
    "RetargetRecord",
    "RunRecord",
    "ScoreRecord",
    "SharedRecord",
    "TrainingRecord",
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


def _is_measure(value: Any) -> bool:
    return value is None or isinstance(value, (int, float, str))


Measures = dict[str, Annotated[Any, Rule("a number, text or null", _is_measure)]]
"""Measures of a region by name (:func:`s3net_jax.measure.measure_mask`); null: unknown."""


def _is_range(value: Any) -> bool:
    is_pair = isinstance(value, list) and len(value) == 2
    return is_pair and all(type(n) is int for n in value) and 1 <= value[0] <= value[1]


Slices = Annotated[Any, Rule("the numbers of two slices, from 1", _is_range)]


class FileRecord(TypedDict):
    """Size in bytes and digest of one file of a result."""

    size: Count
    sha256: Digest


class RetargetRecord(TypedDict):
    """How a target was chosen after the fit: ``retargeted`` in ``results.jsonl``.

    ``target`` is the rule, such as ``label:2,3``, or ``marks``; ``previous`` holds the labels of
    the target before; ``date`` is the time in UTC. For marks, ``inside`` and ``outside`` are the
    numbers of marked pixels, and ``base`` is the version whose mask was corrected.
    """

    target: str
    previous: list[Count]
    date: str
    inside: NotRequired[Count]
    outside: NotRequired[Count]
    base: NotRequired[Count]


class ResultRecord(TypedDict, total=False):
    """One line of ``results.jsonl`` as read: a result, or a failure if it has ``error``.

    ``version`` counts the results of an input, from 1; a result that was retargeted has
    ``retargeted``, and ``verdict`` is a remark of the person who reviewed it.

    ``sha256`` is the digest of the input's bytes; earlier versions wrote null for inputs that had
    disappeared. ``files`` (file name → size and digest) and ``measures`` (of the target) are
    missing in results of earlier versions. ``options`` names the output options that differ from
    the default.
    """

    stem: Required[Stem]
    input: str
    config: str
    seed: Count
    seeds: Count
    sha256: Digest | None
    width: Count
    height: Count
    depth: Count
    slices: Slices
    pieces: Count
    steps: Count
    labels: Count
    target: list[Count]
    area: Count
    area_fraction: Number
    loss: Number | None
    seconds: Seconds
    networks: str
    agreement: Number
    expected_dsc: Number
    check: bool
    basis: str
    evidence: dict[str, Number]
    notes: list[str]
    outputs: dict[str, ResultName]
    files: dict[ResultName, FileRecord]
    options: str
    measures: Measures
    shared: list[SharedRecord]
    version: Count
    retargeted: RetargetRecord
    verdict: str
    error: str


class FinishedRecord(TypedDict):
    """One line of ``results.jsonl`` as written for a result.

    Over pieces and seeds, ``steps`` is the median, ``loss`` the mean and ``seconds`` the sum.
    ``pieces`` is present if there are several, ``depth`` for volumes, ``slices`` (the first and the
    last, numbered from 1) if only those of a volume are segmented, and ``agreement`` (mean
    fraction of seeds that agree with the consensus) for several seeds. Predictions of trained
    networks have 0 ``steps``, no ``loss``, and ``networks``, a hash of the networks; if the run
    trained them, ``seconds`` includes an equal share of the training. ``expected_dsc`` (in
    [0, 1]), ``check`` (whether a person should check the mask), ``basis`` and ``evidence`` (the
    kind of estimate, and its measures) are those of :class:`s3net_jax.masks.Confidence`.
    ``shared`` describes the networks of a volume that were trained for all of its slices
    (``fit.volume=shared``), one for each seed.
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
    slices: NotRequired[list[int]]
    pieces: NotRequired[int]
    steps: int
    labels: int
    target: list[int]
    area: int
    area_fraction: float
    loss: float | None
    seconds: float
    notes: list[str]
    networks: NotRequired[str]
    agreement: NotRequired[float]
    expected_dsc: NotRequired[float]
    check: NotRequired[bool]
    basis: NotRequired[str]
    evidence: NotRequired[dict[str, float]]
    outputs: dict[str, str]
    files: dict[str, FileRecord]
    options: NotRequired[str]
    measures: NotRequired[Measures]
    shared: NotRequired[list[SharedRecord]]


class MeasuresRecord(TypedDict, total=False):
    """``STEM.measures.json``: one row for each cluster, and for each instance of the target."""

    clusters: list[Measures]
    instances: list[Measures]


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
    sha256: Digest
    dsc: dict[str, list[Number]]


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
        if split_result_name(name) != (stem, kind):
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
