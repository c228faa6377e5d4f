"""Turn the fits of one input into its files and its record in the log."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from s3net_jax.io import collect_receipts, sync_folder
from s3net_jax.run.cases import Case
from s3net_jax.run.confidence import assess_result
from s3net_jax.run.content import Content
from s3net_jax.run.measuring import measure_result
from s3net_jax.run.members import combine_clusters, combine_seeds, combine_stacks
from s3net_jax.run.outcome import Fitted
from s3net_jax.run.output.files import Result, remove_outdated, write_files
from s3net_jax.run.output.history import encode_history
from s3net_jax.run.output.kept import KeptFits, delete_fits
from s3net_jax.run.output.log import ResultLog
from s3net_jax.run.output.plan import Task
from s3net_jax.run.output.record import describe_failure, describe_result
from s3net_jax.run.output.steps import make_film
from s3net_jax.run.output.versions import Versions
from s3net_jax.run.settings import RunSettings
from s3net_jax.schema import FailedRecord, FinishedRecord, SharedRecord

__all__ = ["PENDING", "Key", "OpenInput", "ResultWriter"]

PENDING = "is to be segmented again, but has not been yet."
"""End of the record of an input whose result is invalid and will be replaced."""

Key = tuple[int, int]
"""(piece, seed)."""


@dataclass(frozen=True, eq=False)
class OpenInput:
    """An input that is being segmented.

    Attributes:
      task: input and files of its result.
      case: opened input with its pieces.
      content: content of its files when it was read.
      wanted: number of fits that the result needs.
      filmed: fits that the film shows.
      fits: finished fits; filled during the run.
      shared: how the networks of a volume were trained; filled when the input is opened.
      kept: where fits are kept until the result is written, or None for an input of one piece.
    """

    task: Task
    case: Case
    content: Content
    wanted: int
    filmed: set[Key]
    fits: dict[Key, Fitted] = field(default_factory=dict)
    shared: list[SharedRecord] = field(default_factory=list)
    kept: KeptFits | None = None

    @property
    def is_complete(self) -> bool:
        """Whether all fits are finished."""
        return len(self.fits) == self.wanted


class ResultWriter:
    """Join fits and write results. Several threads may use one object for different inputs."""

    def __init__(self, settings: RunSettings, log: ResultLog) -> None:
        self._folder, self._identity, self._log = settings.folder, settings.identity, log
        self._output = settings.output
        self._config = settings.config

    def write(self, opened: OpenInput) -> FinishedRecord:
        """Write the result of one input, add its record to the log, and return the record.

        The record is added only after the files and their folder entries are on disk, so it is
        true even after a power cut.

        Raises:
          InputError: the input's files have changed since they were read, or the target has too
            many instances.
          OutputError: a file or the record can't be written.
        """
        task, case = opened.task, opened.case
        source, names = task.source, task.files.names.values()
        result = self._join_fits(opened)
        opened.content.check()
        with self._log.announce(names):
            if self._log.find_result(source.stem) is not None:
                self.invalidate([task])  # the old record must not describe the new files
            earlier = self._log.find_files(source.stem)
            remove_outdated(self._folder, earlier, names)
            with collect_receipts() as files:
                outputs, notes = write_files(task.files, case, result)
            remove_outdated(self._folder, earlier, outputs.values())  # files that are optional
            sync_folder(self._folder)
            result.notes.extend(notes)
            fits = [fit for _, fit in sorted(opened.fits.items())]
            digest = opened.content.digest
            record = describe_result(source, self._identity, digest, case, result, fits)
            if opened.shared:
                record["shared"] = opened.shared
            record["outputs"] = outputs
            record["files"] = {
                name: {"size": files[name].size, "sha256": files[name].sha256}
                for name in outputs.values()
            }
            self._log.put(record)
        Versions(self._folder, self._log).forget(source.stem)
        delete_fits(self._folder, source.stem)
        return record

    def invalidate(self, tasks: Iterable[Task]) -> None:
        """Record that the results of ``tasks`` are invalid; their files remain until replaced.

        If the run is killed, resuming it then segments those it has not finished.
        """
        records = [
            describe_failure(task.source, self._identity, f"{task.source.path} {PENDING}")
            for task in tasks
        ]
        if records:
            self._log.put(*records)

    def write_failure(self, task: Task, record: FailedRecord) -> None:
        """Record that an input failed, unless an earlier result is kept.

        Deletes all files of the input, which could otherwise be mistaken for its result.

        Args:
          task: input that failed.
          record: record of the failure.

        Raises:
          OutputError: a file can't be deleted, or the log can't be written.
        """
        if task.is_kept and self._log.find_result(task.source.stem) is not None:
            return
        half = self._log.unfinished.intersection(task.files.names.values())
        remove_outdated(self._folder, self._log.find_files(task.source.stem) | half)
        self._log.put(record)

    def _join_fits(self, opened: OpenInput) -> Result:
        """Combine the seeds of each piece, then join the pieces."""
        case, fits = opened.case, dict(sorted(opened.fits.items()))
        seeds = self._identity.all_seeds
        maps: list[np.ndarray | None] = []
        plain: list[np.ndarray | None] = []  # label maps without the target
        has_clusters = any(fit.clusters is not None for fit in fits.values())
        targets: list[tuple[int, ...] | None] = []
        shares: list[np.ndarray | None] = []
        is_stacked = case.has_common_labels and len(seeds) > 1
        for index in range(len(case)):
            if is_stacked:
                break
            found = [fits[index, seed] for seed in seeds if (index, seed) in fits]
            labels, target, share = combine_seeds(found) if found else (None, None, None)
            maps.append(labels)
            plain.append(combine_clusters(found) if has_clusters else labels)
            targets.append(target)
            shares.append(share)
        if is_stacked:
            maps, shares = combine_stacks(fits, len(case), seeds)
            plain, targets = maps, [None] * len(case)
        whole = case.join(maps, targets)
        clusters = None
        if "clusters" in opened.task.files.names:
            clusters = case.join_labels(plain)
            clusters = None if np.array_equal(clusters, whole.labels) else clusters
        agreement = None if self._identity.seeds == 1 else case.join_shares(shares)
        film = make_film({key: fits[key] for key in sorted(opened.filmed)}, case, whole)
        notes = list(dict.fromkeys(note for fit in fits.values() for note in fit.notes))
        measured = None
        if self._output is not None:
            measured = measure_result(case, whole, self._output, str(opened.task.source.path))
            notes += measured.notes
        confidence = assess_result(case, whole, list(fits.values()), self._config)
        history = encode_history(fits)
        return Result(
            *(whole, agreement, history, film, notes, measured, confidence, clusters),
            output=self._output,
        )
