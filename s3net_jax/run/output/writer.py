"""From the fits of one input to its files and its line in the log."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np

from s3net_jax.config import Config
from s3net_jax.io.write import receipts, sync_folder
from s3net_jax.masks import Segments
from s3net_jax.run.cases import Case
from s3net_jax.run.content import Content
from s3net_jax.run.inputs import Source
from s3net_jax.run.members import combine_seeds
from s3net_jax.run.outcome import Fitted
from s3net_jax.run.output.files import Draw, output_paths, remove_outdated, write_outputs
from s3net_jax.run.output.history import history_bytes
from s3net_jax.run.output.log import ResultLog
from s3net_jax.run.output.plan import Identity, Task
from s3net_jax.run.output.record import describe_result
from s3net_jax.run.output.steps import film_of
from s3net_jax.run.summary import Record

__all__ = ["Finisher", "Fits", "Key"]

Key = tuple[int, int]
"""(piece, seed)."""
Fits = dict[Key, Fitted]


class Finisher:
    """Makes and writes results. Several threads may call it at once, for different inputs."""

    def __init__(
        self, folder: Path, config: Config, identity: Identity, log: ResultLog, draw: Draw
    ) -> None:
        self._folder, self._config, self._identity = folder, config, identity
        self._log, self._draw = log, draw

    def __call__(
        self, source: Source, content: Content, case: Case, fits: Fits, filmed: Collection[Key]
    ) -> Record:
        """Write the result of one input; return its line, which is in the log then.

        The line follows when files and names are on the disk, so that what it says is true after
        a power cut, too.

        Args:
          source, case: the input.
          content: what its files held when it was read.
          fits: fits of all its pieces and seeds.
          filmed: those whose steps are shown.

        Raises:
          InputError: the input's files have changed since they were read.
          OutputError: something can't be written.
        """
        whole, agreement, notes = self._whole(case, fits)
        record = self.head(source) | {"sha256": content.digest}
        names = self._names(source)
        film = film_of({key: fits[key] for key in sorted(filmed)}, case, whole)
        history = history_bytes(fits)
        content.check()
        with self._log.announced(names):
            if self._log.result(source.stem) is not None:  # its line must not speak for new files
                self._log.put(self._given_up(source))
            remove_outdated(self._folder, self._log.files_of(source.stem), names)
            with receipts() as files:
                written, more = write_outputs(
                    self._folder, source, case, whole, agreement, history, film, self._draw
                )
            sync_folder(self._folder)
            every = [*notes, *more]
            record |= describe_result(source, case, whole, agreement, [*fits.values()], every)
            record["outputs"] = written
            record["files"] = {name: vars(files[name]) for name in written.values()}
            self._log.put(record)
        return record

    def give_up(self, tasks: Iterable[Task]) -> None:
        """Notes that the results which ``tasks`` replace count no more. So a run that is killed
        can go on with those it has not come to; their files are there until then."""
        given_up = [self._given_up(task.source) for task in tasks if task.replaces]
        if given_up:
            self._log.put(*given_up)

    def _given_up(self, source: Source) -> Record:
        reason = f"{source.path} is to be segmented again, and has not been yet."
        return self.head(source) | {"error": reason}

    def fail(self, task: Task, reason: str) -> None:
        """Notes that an input failed, unless it has a result that stands. Without one, no files
        are left that could be taken for its result.

        Raises:
          OutputError: the log can't be written.
        """
        if task.stands and self._log.result(task.source.stem) is not None:
            return
        half = self._log.unfinished.intersection(self._names(task.source))
        remove_outdated(self._folder, self._log.files_of(task.source.stem) | half)
        self._log.put(self.head(task.source) | {"error": reason})

    def head(self, source: Source) -> Record:
        """What the line of an input begins with, also of one that failed."""
        return {"stem": source.stem, "input": str(source.path), **self._identity.fields()}

    def _whole(self, case: Case, fits: Fits) -> tuple[Segments, np.ndarray | None, list[str]]:
        """The result of one input: its pieces joined, of several seeds their consensus."""
        maps: list[np.ndarray | None] = []
        targets: list[tuple[int, ...] | None] = []
        shares: list[np.ndarray | None] = []
        for index in range(len(case)):
            mine = [fits[index, seed] for seed in self._identity.each if (index, seed) in fits]
            labels, target, share = combine_seeds(mine) if mine else (None, None, None)
            maps.append(labels)
            targets.append(target)
            shares.append(share)
        notes = list(dict.fromkeys(note for fit in fits.values() for note in fit.notes))
        whole = case.join(maps, targets)
        return whole, None if self._identity.seeds == 1 else case.join_shares(shares), notes

    def _names(self, source: Source) -> list[str]:
        """Of all files that its result may have."""
        film = self._config.fit.record_labels
        paths = output_paths(self._folder, source, self._identity.seeds, film)
        seg = [f"{source.stem}.seg.dcm"] if source.kind == "dicom" else []
        return [*(path.name for path in paths.values()), *seg]
