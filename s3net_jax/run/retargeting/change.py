"""Replace the targets of results in an output folder, one result at a time."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, TypeVar, cast

import numpy as np

from s3net_jax.config import Config
from s3net_jax.errors import InputError, OutputError, describe_unexpected
from s3net_jax.io import collect_receipts
from s3net_jax.masks import Segments
from s3net_jax.measure import round_row
from s3net_jax.run.choosing import (
    Chosen,
    choose_again,
    correct_with_marks,
    make_choice_config,
)
from s3net_jax.run.confidence import assess_result
from s3net_jax.run.measuring import measure_result
from s3net_jax.run.output.files import Result, ResultFiles, plan_files, write_files
from s3net_jax.run.output.tables import write_tables
from s3net_jax.run.output.versions import get_version
from s3net_jax.run.pieces import Case
from s3net_jax.run.retargeting.drawn import Drawn
from s3net_jax.run.retargeting.folder import Results, Saved, read_map
from s3net_jax.run.retargeting.requests import Request
from s3net_jax.schema import FileRecord, ResultRecord, RetargetRecord

__all__ = ["ChangeListener", "Changes", "apply_marks", "apply_requests", "undo_changes"]

T = TypeVar("T")

MARKS = "marks"
"""``target`` in the record of a result that was corrected with marks."""

_REPLACED = (
    *("labels", "mask", "clusters", "overlay", "seg"),
    *("instances", "measures", "outlines", "rois"),
)
"""Kinds of files that a new target replaces; the others describe the fits."""


class ChangeListener(Protocol):
    """Receiver of the outcome of each result."""

    def report_changed(self, before: ResultRecord, record: ResultRecord) -> None:
        """Handle that a result was replaced by ``record``."""

    def report_kept(self, record: ResultRecord) -> None:
        """Handle that the target of a result is the same as before, so no file was written."""

    def report_failed(self, stem: str, reason: str) -> None:
        """Handle that a result could not be changed; ``reason`` is a sentence."""


@dataclass
class Changes:
    """Outcome of a change of several results.

    Attributes:
      changed, kept: numbers of results.
      failures: a sentence for each result that could not be changed.
    """

    changed: int = 0
    kept: int = 0
    failures: list[str] = field(default_factory=list)


def apply_requests(
    results: Results, requests: Iterable[Request], images: Iterable[str], listener: ChangeListener
) -> Changes:
    """Give results other targets; see :func:`s3net_jax.masks.parse_choice`.

    Only results whose labels, mask or target change are written. A result that can't be changed is
    reported and skipped.

    Args:
      results: opened output folder.
      requests: new target or verdict of each result.
      images: places of the inputs; see :meth:`Results.find_inputs`.
      listener: receiver of the outcomes.

    Raises:
      OutputError: a file can't be written.
    """
    requests = list(requests)
    results.find_inputs([one.stem for one in requests if one.choice is not None], images)

    def change(request: Request) -> ResultRecord | None:
        record = results.get(request.stem)
        try:
            new = _retarget(results, record, request)
        except InputError as error:
            raise InputError(f"{request.where}: {error}" if request.where else str(error)) from None
        return _add_verdict(results, new or record, request.verdict) or new

    return _change_all(results, [(one.stem, one) for one in requests], change, listener)


def apply_marks(
    results: Results, drawn: Iterable[Drawn], images: Iterable[str], listener: ChangeListener
) -> Changes:
    """Correct masks with marks; the arguments are like those of :func:`apply_requests`.

    Marks are applied to the mask that the result had before any marks, so marks that are drawn in
    several rounds in the same file give the same result as all at once.
    """
    drawn = list(drawn)
    results.find_inputs([one.stem for one in drawn], images)

    def change(one: Drawn) -> ResultRecord | None:
        return _correct(results, results.get(one.stem), one)

    return _change_all(results, [(one.stem, one) for one in drawn], change, listener)


def undo_changes(
    results: Results, stems: Iterable[str], listener: ChangeListener, is_named: bool
) -> Changes:
    """Restore the version of each result before its last change.

    Args:
      results: opened output folder.
      stems: names of the results.
      listener: receiver of the outcomes.
      is_named: whether the user named the results; one without an earlier version is then a
        failure, and otherwise left as it is without a report.
    """

    def change(stem: str) -> ResultRecord | None:
        record = results.versions.undo(stem)
        if record is None:
            raise InputError(f"{stem} has no earlier version: its target was not changed.")
        return record

    changed = [s for s in stems if is_named or get_version(results.get(s)) > 1]
    return _change_all(results, [(stem, stem) for stem in changed], change, listener)


def _change_all(
    results: Results,
    items: list[tuple[str, T]],
    change: Callable[[T], ResultRecord | None],
    listener: ChangeListener,
) -> Changes:
    changes = Changes()
    for stem, item in items:
        try:
            before = results.get(stem)
            record = change(item)
        except OutputError:
            raise
        except Exception as error:  # the other results can still be changed
            reason = _explain(error, stem)
            changes.failures.append(reason)
            listener.report_failed(stem, reason)
            continue
        if record is None:
            changes.kept += 1
            listener.report_kept(before)
        else:
            changes.changed += 1
            listener.report_changed(before, record)
    if changes.changed and results.output is not None:
        write_tables(results.folder, results.output)
    return changes


def _explain(error: Exception, stem: str) -> str:
    if isinstance(error, InputError):
        return str(error)
    if os.environ.get("S3NET_DEBUG"):
        traceback.print_exception(error)
    if isinstance(error, MemoryError):
        return f"The result of {stem} does not fit in memory."
    return f"The result of {stem} {describe_unexpected(error)}"


def _retarget(results: Results, record: ResultRecord, request: Request) -> ResultRecord | None:
    choice = request.choice
    if choice is None:
        return None
    results.check(record)
    case = results.open_input(record, make_choice_config(results.config, choice))
    saved = results.read_maps(record, case)
    chosen = choose_again(case, saved.clusters, saved.present, choice)
    config = make_choice_config(results.config, choice)
    return _replace(results, record, case, saved, chosen, config, {"target": request.target})


def _correct(results: Results, record: ResultRecord, drawn: Drawn) -> ResultRecord | None:
    results.check(record)
    config = make_choice_config(results.config, "all")
    case = results.open_input(record, config)
    if case.volume is not None:
        raise InputError(
            f"{case.name} is a volume, and marks correct only pictures: choose its clusters with "
            "--target label:…"
        )
    inside, outside = drawn.read(case.pixels)
    saved = results.read_maps(record, case)
    earlier = record.get("retargeted")
    base = get_version(record) if earlier is None else earlier.get("base", get_version(record))
    name = record.get("outputs", {})["mask"]
    mask = read_map(results.versions.locate(record["stem"], base, name), case) > 0
    chosen = correct_with_marks(case, saved.clusters, mask, inside, outside)
    marks = int(np.count_nonzero(inside)), int(np.count_nonzero(outside))
    change = {"target": MARKS, "inside": marks[0], "outside": marks[1], "base": base}
    return _replace(results, record, case, saved, chosen, config, change)


def _replace(
    results: Results,
    record: ResultRecord,
    case: Case,
    saved: Saved,
    chosen: Chosen,
    config: Config,
    change: dict[str, object],
) -> ResultRecord | None:
    """Write a new version of a result; return None if it is equal to the present one."""
    whole, present = chosen.whole, saved.present
    clusters = whole.labels if chosen.clusters is None else chosen.clusters
    if (
        whole.target == present.target
        and np.array_equal(whole.mask, present.mask)
        and np.array_equal(whole.labels, present.labels)
        and np.array_equal(clusters, saved.clusters)
    ):
        return None
    source, measured = results.get_source(record), None
    if results.output is not None:
        measured = measure_result(case, whole, results.output, str(source.path))
    retargeted = {
        **change,
        "previous": list(present.target),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }

    def write(place: Path) -> ResultRecord:
        planned = plan_files(place, source, output=results.output, clusters=True).names
        files = ResultFiles(place, {k: n for k, n in planned.items() if k in _REPLACED})
        result = Result(
            *(whole, None, None, None, [], measured, assess_result(case, whole, (), config)),
            clusters=chosen.clusters,
            output=results.output,
        )
        with collect_receipts() as receipts:
            outputs, notes = write_files(files, case, result)
        new = _describe(record, result, outputs, [*_update_notes(record, case, whole), *notes])
        new["retargeted"] = cast(RetargetRecord, retargeted)
        for name in outputs.values():
            found: FileRecord = {"size": receipts[name].size, "sha256": receipts[name].sha256}
            new.setdefault("files", {})[name] = found
        return new

    return results.versions.replace(record, write)


def _describe(
    record: ResultRecord, result: Result, outputs: dict[str, str], notes: list[str]
) -> ResultRecord:
    """Describe a new version by the record of the present one, with the digests of kept files."""
    whole = result.whole
    kept = {k: n for k, n in record.get("outputs", {}).items() if k not in _REPLACED}
    files = record.get("files", {})
    new: ResultRecord = {
        **record,
        "labels": whole.count,
        "target": list(whole.target),
        "area": int(np.count_nonzero(whole.mask)),
        "area_fraction": round(whole.area, 6),
        "notes": list(dict.fromkeys(notes)),
        "outputs": {**outputs, **kept},
        "files": {name: files[name] for name in kept.values() if name in files},
    }
    if result.measured is not None:
        new["measures"] = round_row(result.measured.target)
    if result.confidence is not None:
        new.update(cast(ResultRecord, result.confidence.to_record()))
    return new


def _update_notes(record: ResultRecord, case: Case, whole: Segments) -> list[str]:
    """Replace the note on an empty mask, which may not be true any more."""
    empty = f"The mask of {case.name} is empty after its target was changed."
    outdated = {empty, *Segments(whole.labels, whole.mask, ()).notes(case.name)}
    notes = [note for note in record.get("notes", []) if note not in outdated]
    return notes if whole.mask.any() else [*notes, empty]


def _add_verdict(results: Results, record: ResultRecord, verdict: str) -> ResultRecord | None:
    """Record a verdict; return the new record, or None if there is nothing to record."""
    if not verdict or record.get("verdict", "") == verdict:
        return None
    new: ResultRecord = {**record, "verdict": verdict}
    results.log.put(new)
    return new
