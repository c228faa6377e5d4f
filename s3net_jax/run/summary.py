"""How a run went: its counts, its listener, and ``run.json``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from s3net_jax.provenance import (
    collect_versions,
    describe_devices,
    find_commit,
    list_implementations,
)
from s3net_jax.run.engines import Engine
from s3net_jax.run.inputs import Source
from s3net_jax.run.settings import RunSettings
from s3net_jax.schema import (
    FailedRecord,
    FinishedRecord,
    NetworkRecord,
    ResultRecord,
    RunRecord,
    write_json,
)

__all__ = ["Listener", "Summary", "write_run"]


@dataclass
class Summary:
    """How a run went.

    Attributes:
      out: the output folder.
      done, skipped, failed: numbers of inputs.
      assessed: number of results, new or kept, whose confidence could be estimated.
      to_check: number of these that a person should check.
      seconds: wall clock of the whole run.
      status: ``running``, ``finished`` or ``interrupted``.
      times: seconds that the fits of each input took; the first includes compilation.
      failures: a sentence for each input that failed.
      notes: sentences about the run as a whole, such as files that were skipped.
      networks: the trained networks that were applied in place of fits.
      started: time at which the run started, UTC.
      inputs: number of all inputs.
      report: page on which a person reviews the results, or None if it was not written.
    """

    out: Path
    done: int = 0
    skipped: int = 0
    failed: int = 0
    assessed: int = field(default=0, kw_only=True)
    to_check: int = field(default=0, kw_only=True)
    seconds: float = 0.0
    status: str = "running"
    times: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    networks: list[NetworkRecord] = field(default_factory=list)
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    inputs: int = 0
    report: Path | None = None

    def count_confidence(self, record: FinishedRecord | ResultRecord) -> None:
        """Count a result among those to check, if it has a confidence."""
        if "check" in record:
            self.assessed += 1
            self.to_check += record["check"]


class Listener(Protocol):
    """Receiver of the events of a run; every method may do nothing."""

    step: Callable[[int, dict[str, Any]], None] | None
    """Called every few steps of the current batch with ``loss``, ``labels``, ``running``; engines
    whose workers are other processes never call it."""

    def begin(self, count: int) -> None:
        """Handle the start of a run with ``count`` inputs."""

    def start(self, index: int, source: Source) -> None:
        """Handle that input ``index`` (from 0) is opened."""

    def report_done(self, index: int, record: FinishedRecord) -> None:
        """Handle that the results of input ``index`` are written."""

    def report_failed(self, index: int, record: FailedRecord) -> None:
        """Handle that input ``index`` failed; ``record["error"]`` is the reason."""

    def report_skipped(self, index: int, record: ResultRecord) -> None:
        """Handle that input ``index`` already has results, which are kept."""

    def show_phase(self, name: str, done: int = 0, total: int | None = None) -> None:
        """Show that ``done`` of ``total`` parts of the phase ``name``, such as scoring, are done.

        May be called from several threads at once.
        """

    def show_pieces(self, index: int, noun: str, done: int, total: int) -> None:
        """Handle that ``done`` of the ``total`` pieces of input ``index`` are fitted.

        Called when the input is opened and then after each batch, and only for inputs of several
        pieces; ``noun`` is ``slice`` or ``tile``. Slices of a single value are not counted.
        """

    def show_training(self, step: int, steps: int, loss: float) -> None:
        """Handle step ``step`` of the ``steps`` of a training on all inputs.

        May be called from another thread, and not for every step.
        """

    def say(self, text: str) -> None:
        """Show a message about the run as a whole: a batch was halved, a worker was lost."""


def write_run(summary: Summary, settings: RunSettings, engine: Engine) -> None:
    """Write ``run.json``, or ``run-N.json`` for process N > 0 of several."""
    times, rank = summary.times, settings.rank
    content: RunRecord = {
        "status": summary.status,
        "started": summary.started.isoformat(timespec="seconds"),
        "seconds": summary.seconds,
        "inputs": summary.inputs,
        "done": summary.done,
        "skipped": summary.skipped,
        "failed": summary.failed,
        "to_check": summary.to_check,
        "failures": summary.failures,
        "notes": summary.notes,
        "images_per_minute": round(60 * summary.done / summary.seconds, 2)
        if summary.done and summary.seconds
        else None,
        "seconds_first_image": times[0] if times else None,
        "seconds_median_later": round(float(np.median(times[1:])), 3) if times[1:] else None,
        "seed": settings.identity.seed,
        "seeds": settings.identity.seeds,
        **engine.describe(),
        "process": rank.index,
        "processes": rank.count,
        "config_digest": settings.config.digest,
        "config": settings.config.to_dict(),
        "versions": collect_versions(),
        "commit": find_commit(),
        "devices": describe_devices(),
        "implementations": {
            operator: [name for name, reason in reasons.items() if reason is None]
            for operator, reasons in list_implementations().items()
        },
    }
    if settings.output is not None:
        content["output"] = settings.output.describe()
    if summary.networks:
        content["networks"] = summary.networks
    if settings.command:
        content["command"] = settings.command
    name = "run.json" if rank.index == 0 else f"run-{rank.index}.json"
    write_json(summary.out / name, content)
