"""Check that every result recorded in an output folder exists and is intact."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from s3net_jax.csv_text import parse_csv
from s3net_jax.errors import ConfigError, InputError, OutputError, RecordError, get_reason
from s3net_jax.evaluate.scores import read_scores
from s3net_jax.io import read_regular
from s3net_jax.run import Damage, find_damage, read_array, read_history, read_log
from s3net_jax.schema import (
    EvaluationSummary,
    ExperimentRecord,
    GridSummary,
    ResultRecord,
    RunRecord,
    TuningSummary,
    check_score,
    read_json,
)

__all__ = ["Checked", "check_folder"]

_DEEPEST = 3  # folder levels below an experiment: DATA/METHOD/predictions
_BROKEN = "can't be read: it is broken or cut off"


@dataclass
class Checked:
    """Findings of :func:`check_folder`.

    Attributes:
      results: number of results recorded as done.
      damaged: number of these results whose files are missing or changed.
      failed: number of inputs that failed or were not finished.
      undigested: number of results written by earlier versions, without digests.
      files: path of each damaged file → description of the damage, as a clause.
    """

    results: int = 0
    damaged: int = 0
    failed: int = 0
    undigested: int = 0
    files: dict[Path, str] = field(default_factory=dict)


def check_folder(folder: str | os.PathLike[str]) -> Checked:
    """Read every result of a run, an evaluation or an experiment, without changing anything.

    Args:
      folder: output folder, as given to ``--out``.

    Raises:
      OutputError: if the folder does not exist, is not an output folder, or cannot be read, or if
        its records are invalid.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise OutputError(f"{folder} is not a folder.")
    found = Checked()
    logs = 0
    for place, names in _walk(folder, found):
        if "results.jsonl" in names:
            logs += 1
            _check_results(place, found)
        if "scores.jsonl" in names:
            logs += 1
            records = read_log(place / "scores.jsonl", check_score)
            found.results += len({record["stem"] for record in records})
        _check_tables(place, names, found)
    if logs == 0:
        problems = "".join(f" {path} {problem}." for path, problem in found.files.items())
        raise OutputError(
            f"{folder} contains no results.jsonl: name the output folder of a run.{problems}"
        )
    return found


def _walk(folder: Path, found: Checked) -> Iterator[tuple[Path, list[str]]]:
    """Yield folders with the names of their entries; links to folders are not followed."""

    def fail(error: OSError) -> None:
        found.files[Path(error.filename)] = f"can't be read ({get_reason(error)})"

    for place, below, names in os.walk(folder, onerror=fail):
        yield Path(place), sorted([*names, *below])  # a folder may have taken the place of a file
        depth = len(Path(place).relative_to(folder).parts)
        below[:] = sorted(n for n in below if depth < _DEEPEST and not n.startswith("."))


def _check_results(folder: Path, found: Checked) -> None:
    last = {record["stem"]: record for record in read_log(folder / "results.jsonl")}
    for stem, record in sorted(last.items()):  # the log may be in any order
        if "error" in record:
            found.failed += 1
            continue
        found.results += 1
        problems = {folder / one.name: one.problem for one in find_damage(folder, record)}
        if not record.get("files"):
            found.undigested += 1
            for one in _find_unreadable(folder, record):
                problems.setdefault(folder / one.name, one.problem)
        if not record.get("outputs"):
            problems[folder / stem] = "is recorded as done, but without an output file"
        if record.get("sha256") is None:
            problems[folder / stem] = "is recorded as done, but without the digest of its input"
        found.damaged += bool(problems)
        found.files |= problems
    _check_count(folder, sum("error" not in record for record in last.values()), found)


def _check_count(folder: Path, results: int, found: Checked) -> None:
    """Compare log and measures with ``run.json``, since lines may have been lost."""
    try:
        run: RunRecord = read_json(folder / "run.json", RunRecord)
    except RecordError:
        return  # _check_tables reports it
    counted = run.get("done", 0) + run.get("skipped", 0)
    if results < counted:
        found.files[folder / "results.jsonl"] = (
            f"has lost lines (it contains {results} results, but run.json counts {counted})"
        )
    if "output" in run and run.get("status") == "finished":
        _check_measures(folder / "measures.csv", results, found)


def _check_measures(path: Path, results: int, found: Checked) -> None:
    try:
        rows = parse_csv(read_regular(path))
    except FileNotFoundError:
        found.files[path] = "is missing"
    except (OSError, ValueError):
        found.files[path] = _BROKEN
    else:
        if len(rows) != results:
            found.files[path] = "does not have a row for each result"


def _find_unreadable(folder: Path, record: ResultRecord) -> Iterator[Damage]:
    """Find unreadable files; all that can be checked without digests."""
    readers: dict[str, Callable[[Path], object]] = {"history": read_history}
    readers |= dict.fromkeys(("seg", "measures", "outlines", "rois"), os.stat)
    for kind, name in record.get("outputs", {}).items():
        try:
            readers.get(kind, read_array)(folder / name)
        except (InputError, OSError):
            yield Damage(name, _BROKEN)


def _check_tables(place: Path, names: list[str], found: Checked) -> None:
    """Check the files that describe a run, an evaluation or an experiment as a whole."""
    kinds: dict[str, Any] = {}
    if "results.jsonl" in names:
        kinds |= {name: RunRecord for name in names if _is_run(name)}
    is_evaluation = (place / "predictions" / "results.jsonl").exists()
    if "experiment.json" in names:
        kinds["experiment.json"] = ExperimentRecord
        is_search = "scores.jsonl" in names
        kinds["summary.json"] = TuningSummary if is_search else GridSummary
    elif is_evaluation:
        kinds["summary.json"] = EvaluationSummary
    for name, kind in kinds.items():
        if name in names:
            try:
                read_json(place / name, kind)
            except RecordError as error:
                found.files[place / name] = f"can't be used ({error})"
    if is_evaluation and "metrics.csv" in names:
        try:
            read_scores(place / "metrics.csv")
        except ConfigError:
            found.files[place / "metrics.csv"] = _BROKEN


def _is_run(name: str) -> bool:
    return name == "run.json" or (name.startswith("run-") and name.endswith(".json"))
