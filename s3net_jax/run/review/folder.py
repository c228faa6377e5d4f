"""Read what a review page tells about a run: its records, counts and settings."""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from s3net_jax.errors import OutputError, RecordError
from s3net_jax.io import open_regular
from s3net_jax.run.output.lock import is_folder_held
from s3net_jax.run.output.log import read_log
from s3net_jax.run.output.writer import PENDING
from s3net_jax.schema import ResultRecord, RunRecord, read_json

__all__ = ["Folder", "check_folder_exists", "read_folder"]

_FILES = {
    "results.jsonl": "one record for each input, for programs",
    "measures.csv": "measurements of the targets, for spreadsheets",
    "run.json": "configuration, versions, devices and timing, for programs",
}


@dataclass(frozen=True)
class Folder:
    """Content of an output folder.

    Attributes:
      path: the folder.
      identity: identity of the run, which a resumption and a move of the folder keep.
      results: records of finished results.
      failures: a sentence for each input that failed.
      runs: ``run.json`` of each process; the first may be empty.
      status: ``running``, ``finished`` or ``interrupted``.
      notes: sentences on files that can't be used.
    """

    path: Path
    identity: str
    results: list[ResultRecord]
    failures: list[str]
    runs: list[RunRecord]
    status: str
    notes: list[str] = field(default_factory=list)

    @property
    def axis(self) -> str:
        """``input.axis`` of the run."""
        return str(self._config.get("input", {}).get("axis", "auto"))

    @property
    def _config(self) -> Mapping[str, Any]:
        return self.runs[0].get("config", {}) if self.runs else {}

    @property
    def command(self) -> str:
        """Command line of the run, or ""."""
        return self.runs[0].get("command", "") if self.runs else ""

    @property
    def seconds(self) -> float:
        """Wall clock of the latest run."""
        return max((run.get("seconds", 0.0) for run in self.runs), default=0.0)

    def count_done(self) -> tuple[int, int]:
        """Return the number of inputs that the run has processed, and of all its inputs."""
        done = sum(
            run.get("done", 0) + run.get("skipped", 0) + run.get("failed", 0) for run in self.runs
        )
        return done, max(done, sum(run.get("inputs", 0) for run in self.runs))

    def describe_settings(self) -> dict[str, dict[str, Any]]:
        """Return the settings for boxes on the page: title → name → value."""
        if not self.runs:
            return {}
        first = self.runs[0]
        names = ("started", "seconds", "images_per_minute", "seed", "seeds", "engine", "batch")
        run: dict[str, Any] = {"preset": self._config.get("preset"), "digest": "", "commit": None}
        run |= {"digest": first["config_digest"], "commit": first.get("commit")}
        run |= {name: first.get(name) for name in names}
        sections = {name: value for name, value in self._config.items() if name != "preset"}
        return {
            "run": {name: value for name, value in run.items() if value is not None},
            "": sections,
            "versions": dict(first.get("versions", {})),
            "machine": dict(first.get("devices", {})),
        }

    def list_files(self) -> dict[str, str]:
        """Return the files beside the page with their descriptions."""
        return {name: text for name, text in _FILES.items() if (self.path / name).is_file()}

    def format_command(self, name: str, *options: str) -> str:
        """Return the command line of ``s3net NAME FOLDER OPTIONS``."""
        return shlex.join(["s3net", name, str(self.path), *options])


def read_folder(path: Path) -> Folder:
    """Read an output folder; only ``results.jsonl`` has to be valid.

    Raises:
      OutputError: the records can't be read.
    """
    log = path / "results.jsonl"
    records = {r["stem"]: r for r in read_log(log)} if os.path.lexists(log) else {}
    notes: list[str] = []
    runs = _read_runs(path, notes)
    status = _find_status(path, runs)
    failures = [
        reason
        for record in records.values()
        if (reason := record.get("error")) is not None
        # An input whose turn has not come yet has not failed.
        and not (status == "running" and reason.endswith(PENDING))
    ]
    return Folder(
        path,
        _identify(log),
        [record for record in records.values() if "error" not in record],
        failures,
        runs,
        status,
        notes,
    )


def _identify(log: Path) -> str:
    """Return the digest of the log's first line, which never changes once it is written.

    The line contains the time that a fit took, so it differs between runs.
    """
    try:
        with os.fdopen(open_regular(log), "rb") as file:
            first = file.readline()
    except OSError:
        first = b""
    return hashlib.sha256(first).hexdigest()[:16]


def _read_runs(path: Path, notes: list[str]) -> list[RunRecord]:
    runs: list[RunRecord] = []
    count = 1
    while len(runs) < count:
        name = "run.json" if not runs else f"run-{len(runs)}.json"
        if not os.path.lexists(path / name):
            break
        try:
            runs.append(read_json(path / name, RunRecord))
        except RecordError as error:
            notes.append(f"{path / name} was ignored: {error}.")
            break
        count = runs[0].get("processes", 1)
    return runs


def _find_status(path: Path, runs: list[RunRecord]) -> str:
    found = {run.get("status", "finished") for run in runs}
    if "running" in found:
        # A run that was killed could not change its status, but it has lost its lock.
        return "interrupted" if is_folder_held(path) is False else "running"
    return "interrupted" if "interrupted" in found else "finished"


def check_folder_exists(path: Path) -> None:
    """Raise :class:`OutputError` if ``path`` is not the output folder of a run."""
    if not path.is_dir():
        raise OutputError(f"{path} is not a folder.")
    if not os.path.lexists(path / "results.jsonl"):
        raise OutputError(
            f"{path} contains no results.jsonl: name the output folder of s3net segment."
        )
