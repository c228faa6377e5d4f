"""Many inputs: fitted together, each written as soon as it is done; a bad one fails alone."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from s3net_jax.config import Config, ConfigError
from s3net_jax.io import InputError, OutputError, make_folder, parse_window, remove_leftovers
from s3net_jax.masks import Segments, check_target
from s3net_jax.run.cases import Case, open_case
from s3net_jax.run.chunks import Job, chunks
from s3net_jax.run.discover import discover
from s3net_jax.run.engine import Engine
from s3net_jax.run.film import film_of, shown_fits, thinned
from s3net_jax.run.history import history_bytes
from s3net_jax.run.log import ResultLog
from s3net_jax.run.members import agreed
from s3net_jax.run.outcome import Failed, Fitted, Outcome
from s3net_jax.run.outputs import Draw, output_paths, remove_outdated, write_outputs
from s3net_jax.run.plan import Identity, Task, input_digest, make_plan
from s3net_jax.run.record import describe_result
from s3net_jax.run.share import ALONE, Share
from s3net_jax.run.summary import Listener, Record, Summary, write_run
from s3net_jax.run.work import out_of_memory

__all__ = ["segment_inputs"]

_FULL = 3  # results in a row that can't be written: the disk is full, not unlucky


def segment_inputs(
    inputs: Iterable[str | Path],
    out: str | Path,
    config: Config,
    *,
    engine: Engine,
    draw: Draw,
    listener: Listener,
    seed: int = 0,
    seeds: int = 1,
    overwrite: bool = False,
    share: Share = ALONE,
) -> Summary:
    """Segments every input into ``out``; a bad input fails alone.

    Writes, for each input, label map, mask, overlay, the history of its fits, and with
    ``fit.record_labels`` the clusters through the steps (see :func:`output_paths`); and a line
    in ``results.jsonl``; for the run ``run.json``. Results that are there already, of the same
    content, configuration and seeds, are left as they are.

    Args:
      inputs: files, folders, patterns; see :func:`discover`.
      out: output folder, made if need be.
      config: the configuration.
      engine: does the fits.
      draw: makes the overlay.
      listener: is told how it goes.
      seed: of every image, so that a result does not depend on its neighbours.
      seeds: fits of every image, with seeds from ``seed`` on, whose consensus is the result.
      overwrite: replace what is there.
      share: the part of the inputs that this process does.

    Raises:
      ConfigError: the configuration can't be used.
      OutputError: the folder can't be written, or holds other results; see :func:`make_plan`.
    """
    check_target(config.segment.target)
    parse_window(config.input.window)
    sources = discover(inputs)
    folder = make_folder(out)
    remove_leftovers(folder)
    log = ResultLog(folder / "results.jsonl", share.index)
    identity = Identity(config.digest, seed, seeds)
    film = config.fit.record_labels
    plan = share.of(make_plan(sources, folder, log, identity, overwrite, film))
    run = _Run(plan, folder, config, identity, log, engine, draw, listener, share)
    return run.go()


class _Run:
    """The state of one run."""

    def __init__(
        self,
        plan: list[Task],
        folder: Path,
        config: Config,
        identity: Identity,
        log: ResultLog,
        engine: Engine,
        draw: Draw,
        listener: Listener,
        share: Share,
    ) -> None:
        self.plan, self.folder, self.config = plan, folder, config
        self.identity, self.log, self.engine = identity, log, engine
        self.draw, self.listener, self.share = draw, listener, share
        self.summary = Summary(folder)
        self.clock = time.perf_counter()
        self.seeds = range(identity.seed, identity.seed + identity.seeds)
        self.cases: dict[int, Case] = {}
        self.outcomes: dict[int, dict[tuple[int, int], Outcome]] = {}
        self.wanted: dict[int, int] = {}
        self.filmed: dict[int, set[tuple[int, int]]] = {}
        self.unwritten = 0

    def go(self) -> Summary:
        self.listener.begin(len(self.plan))
        self._save_run()
        progress = self.listener.step
        try:
            batches = chunks(self._jobs(), self.config, self.engine.size())
            for chunk, outcomes in self.engine.run(batches, progress):
                for job, outcome in zip(chunk.jobs, outcomes, strict=True):
                    self._take(job, outcome)
            self.summary.status = "finished"
        except BaseException:
            self.summary.status = "interrupted"
            raise
        finally:
            self._save_run()
        return self.summary

    def _save_run(self) -> None:
        self.summary.seconds = round(time.perf_counter() - self.clock, 3)
        write_run(self.summary, self.config, self.identity, self.engine, self.share)

    def _jobs(self) -> Iterator[Job]:
        """What is to be fitted, input by input; inputs are opened when their turn comes."""
        for number, task in enumerate(self.plan):
            if task.done:
                self.summary.skipped += 1
                self.listener.skipped(number, self.log.get(task.source.stem) or {})
                continue
            self.listener.start(number, task.source)
            try:
                case = open_case(task.source, self.config)
            except (ConfigError, OutputError):
                raise
            except Exception as error:  # whatever it is, the other inputs can still be done
                self._fail(number, _explain(error, str(task.source.path)))
                continue
            pieces = [index for index in range(len(case)) if case.piece(index) is not None]
            self.cases[number] = case
            self.outcomes[number] = {}
            self.wanted[number] = len(pieces) * len(self.seeds)
            self.filmed[number] = shown_fits(pieces, self.seeds)
            for index in range(len(case)):
                image = case.piece(index)
                for seed in self.seeds if image is not None else ():
                    if number not in self.cases:  # another piece of it has failed already
                        break
                    assert image is not None
                    yield Job(number, index, seed, image)

    def _take(self, job: Job, outcome: Outcome) -> None:
        """Keeps one outcome; the last one of an input finishes it."""
        case = self.cases.get(job.task)
        if case is None:
            return
        if isinstance(outcome, Failed):
            name = str(self.plan[job.task].source.path)
            where = "" if len(case) == 1 else f" ({job.image.name})"
            self._fail(job.task, _sentence(name + where, outcome.reason))
            return
        mine = self.outcomes[job.task]
        shown = (job.index, job.seed) in self.filmed[job.task]
        mine[job.index, job.seed] = thinned(outcome, shown)
        if len(mine) == self.wanted[job.task]:
            self._finish(job.task, case, {k: v for k, v in mine.items() if isinstance(v, Fitted)})

    def _finish(self, number: int, case: Case, fits: dict[tuple[int, int], Fitted]) -> None:
        source = self.plan[number].source
        try:
            whole, agreement, notes = self._whole(case, fits)
            record: Record = self._head(number) | {"sha256": input_digest(source)}
            announced = [f"{source.stem}.seg.dcm"] if source.kind == "dicom" else []
            names = [*self._paths(number), *announced]
            filmed = {key: fits[key] for key in sorted(self.filmed[number])}
            film = film_of(filmed, case, whole)
            with self.log.announced(names):
                remove_outdated(self.folder, self.log.get(source.stem), names)
                written, more = write_outputs(
                    self.folder,
                    source,
                    case,
                    whole,
                    agreement,
                    history_bytes(fits),
                    film,
                    self.draw,
                )
                record |= describe_result(
                    source, case, whole, agreement, list(fits.values()), [*notes, *more]
                )
                record["outputs"] = written
                self.log.put(record)
        except OutputError as error:
            self.unwritten += 1
            if self.unwritten >= _FULL:
                raise
            self._fail(number, str(error))
            return
        except Exception as error:
            self._fail(number, _explain(error, str(source.path)))
            return
        self._forget(number)
        self.unwritten = 0
        self.summary.done += 1
        self.summary.times.append(record["seconds"])
        self.listener.done(number, record)

    def _whole(
        self, case: Case, fits: dict[tuple[int, int], Fitted]
    ) -> tuple[Segments, np.ndarray | None, list[str]]:
        """The result of one input: its pieces joined, of several seeds their consensus."""
        maps: list[np.ndarray | None] = []
        targets: list[tuple[int, ...] | None] = []
        shares: list[np.ndarray | None] = []
        for index in range(len(case)):
            mine = [fits[index, seed] for seed in self.seeds if (index, seed) in fits]
            labels, target, share = agreed(mine) if mine else (None, None, None)
            maps.append(labels)
            targets.append(target)
            shares.append(share)
        notes = list(dict.fromkeys(note for fit in fits.values() for note in fit.notes))
        whole = case.join(maps, targets)
        return whole, None if len(self.seeds) == 1 else case.join_shares(shares), notes

    def _head(self, number: int) -> Record:
        source = self.plan[number].source
        return {"stem": source.stem, "input": str(source.path), **self.identity.fields()}

    def _paths(self, number: int) -> list[str]:
        source = self.plan[number].source
        film = self.config.fit.record_labels
        paths = output_paths(self.folder, source, self.identity.seeds, film)
        return [path.name for path in paths.values()]

    def _fail(self, number: int, reason: str) -> None:
        self._forget(number)
        record = self._head(number) | {"error": reason}
        self.summary.failed += 1
        self.summary.failures.append(reason)
        try:
            self.log.put(record)
        except OutputError:
            if self.unwritten == 0:
                raise
        self.listener.failed(number, record)

    def _forget(self, number: int) -> None:
        self.cases.pop(number, None)
        self.outcomes.pop(number, None)
        self.wanted.pop(number, None)
        self.filmed.pop(number, None)


def _sentence(name: str, reason: str) -> str:
    """A reason that is a clause follows the name; one that is a sentence stands behind it."""
    return f"{name} {reason}" if reason[:1].islower() else f"{name}: {reason}"


def _explain(error: Exception, name: str) -> str:
    if isinstance(error, InputError):
        return str(error)
    if os.environ.get("S3NET_DEBUG"):
        traceback.print_exception(error)
    if out_of_memory(error):
        return f"{name} ran out of memory: shrink or crop it first."
    where = traceback.extract_tb(error.__traceback__)[-1]
    first = (str(error).strip().splitlines() or [""])[0]
    return (
        f"{name} failed for a reason that this tool does not know "
        f"({type(error).__name__}: {first}, in {Path(where.filename).name} line {where.lineno})."
    )
