"""Many inputs: fitted together, each written as soon as it is done; a bad one fails alone."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from s3net_jax.config import Config
from s3net_jax.errors import ConfigError, InputError, OutputError
from s3net_jax.io import make_folder, parse_window, remove_leftovers
from s3net_jax.jax_setup import out_of_memory
from s3net_jax.masks import check_target
from s3net_jax.parallel import PIXELS_HELD, usable_cores
from s3net_jax.run.batches import Job, chunks
from s3net_jax.run.cases import Case, open_case
from s3net_jax.run.content import Content, read_content
from s3net_jax.run.distributed import ALONE, Share
from s3net_jax.run.engines.base import Engine
from s3net_jax.run.inputs import Source, discover
from s3net_jax.run.outcome import Failed, Outcome
from s3net_jax.run.output.files import Draw
from s3net_jax.run.output.lock import hold_folder
from s3net_jax.run.output.log import ResultLog
from s3net_jax.run.output.naming import known_names
from s3net_jax.run.output.plan import Identity, Task, make_plan
from s3net_jax.run.output.steps import shown_fits, thinned
from s3net_jax.run.output.writer import Finisher, Fits, Key
from s3net_jax.run.summary import Listener, Record, Summary, write_run

__all__ = ["segment_inputs"]

_WRITERS = 8  # threads that write results: enough to keep up with a GPU
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
    content, configuration and seeds, are left as they are, under the names they have; those
    whose files are missing or damaged are made again.

    Args:
      inputs: files, folders, patterns; see :func:`discover`.
      out: output folder, made if need be.
      config: the configuration.
      engine: does the fits.
      draw: makes the overlay.
      listener: is told how it goes.
      seed: of every image, so that a result does not depend on its neighbours.
      seeds: fits of every image, with seeds from ``seed`` on, whose consensus is the result.
      overwrite: replace what is there: earlier results of the inputs count no more from the start,
        and their files are replaced when their turn comes, or deleted if the input fails. If the
        run is killed, one without ``overwrite`` goes on.
      share: the part of the inputs that this process does.

    Raises:
      ConfigError: the configuration can't be used.
      OutputError: the folder can't be written, another run is at work in it, or it holds other
        results; see :func:`make_plan`.
    """
    from s3net_jax.nn.layers import param_dtype

    check_target(config.segment.target)
    parse_window(config.input.window)
    param_dtype(config.model.dtype)
    skipped: list[str] = []
    sources = discover(inputs, skipped.append)
    folder = make_folder(out)
    identity = Identity(config.digest, seed, seeds)
    purpose = [identity.config, identity.seed, identity.seeds, share.count]
    with hold_folder(folder, share.index, purpose):
        remove_leftovers(folder)
        log = ResultLog(folder / "results.jsonl", share.index)
        film = config.fit.record_labels
        plan = make_plan(known_names(sources, log), folder, log, identity, overwrite, film)
        run = _Run(share.of(plan), folder, config, identity, log, engine, draw, listener, share)
        run.summary.notes += skipped
        return run.go()


class _Pending(NamedTuple):
    """A result on its way to the disk."""

    number: int
    pixels: int
    future: Future[Record]


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
        self.plan, self.config, self.identity = plan, config, identity
        self.log, self.engine, self.listener, self.share = log, engine, listener, share
        self.summary = Summary(folder)
        self.clock = time.perf_counter()
        self.cases: dict[int, Case] = {}
        self.contents: dict[int, Content] = {}
        self.outcomes: dict[int, Fits] = {}
        self.wanted: dict[int, int] = {}
        self.filmed: dict[int, set[Key]] = {}
        self.unwritten = 0
        self.finisher = Finisher(folder, config, identity, log, draw)
        # Results are made and written while the next fits go on.
        self.writers = ThreadPoolExecutor(min(usable_cores(), _WRITERS), "s3net-results")
        self.counting = threading.Lock()
        self.pending: deque[_Pending] = deque()

    def go(self) -> Summary:
        self.finisher.give_up(self.plan)
        self.listener.begin(len(self.plan))
        for text in (*self.log.notes, *(task.remark for task in self.plan if task.remark)):
            self.listener.say(text)
        for note in self.summary.notes:
            self.listener.say(note)
        self._save_run()
        progress = self.listener.step
        try:
            batches = chunks(self._jobs(), self.config, self.engine.size())
            for chunk, outcomes in self.engine.run(batches, progress):
                for job, outcome in zip(chunk.jobs, outcomes, strict=True):
                    self._take(job, outcome)
                self._collect(PIXELS_HELD)
            self._collect(0)
            self.summary.status = "finished"
        except BaseException:
            self.summary.status = "interrupted"
            self._collect_at_end()
            raise
        finally:
            self.writers.shutdown(wait=False)
            self.log.settle()
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
                case, content = _opened(task.source, self.config)
            except (ConfigError, OutputError):
                raise
            except Exception as error:  # whatever it is, the other inputs can still be done
                self._fail(number, _explain(error, str(task.source.path)))
                continue
            pieces = [index for index in range(len(case)) if case.piece(index) is not None]
            self.cases[number] = case
            self.contents[number] = content
            self.outcomes[number] = {}
            self.wanted[number] = len(pieces) * self.identity.seeds
            self.filmed[number] = shown_fits(pieces, self.identity.each)
            for index in range(len(case)):
                image = case.piece(index)
                for seed in self.identity.each if image is not None else ():
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
        filmed = self.filmed[job.task]
        mine[job.index, job.seed] = thinned(outcome, (job.index, job.seed) in filmed)
        if len(mine) == self.wanted[job.task]:
            source = self.plan[job.task].source
            content = self.contents[job.task]
            future = self.writers.submit(self._written, source, content, case, mine, filmed)
            slices = 1 if case.volume is None else len(case)
            self.pending.append(_Pending(job.task, slices * math.prod(case.pixels), future))
            self._forget(job.task)

    def _written(
        self, source: Source, content: Content, case: Case, fits: Fits, filmed: set[Key]
    ) -> Record:
        """Writes and counts a result, in a thread that no signal interrupts between the two."""
        record = self.finisher(source, content, case, fits, filmed)
        with self.counting:
            self.summary.done += 1
            self.summary.times.append(record["seconds"])
        return record

    def _collect(self, left: int) -> None:
        """Takes note of results that are written, in order; waits while those that are not have
        more than ``left`` pixels."""
        while self.pending:
            number, _, future = self.pending[0]
            if sum(one.pixels for one in self.pending) <= left and not future.done():
                return
            try:
                future.exception()  # waits; until it is there, an interruption loses nothing
                self.pending.popleft()
                record = future.result()
            except OutputError as error:
                self.unwritten += 1
                if self.unwritten >= _FULL:
                    raise
                self._fail(number, str(error))
                continue
            except Exception as error:
                self._fail(number, _explain(error, str(self.plan[number].source.path)))
                continue
            self.unwritten = 0
            self.listener.done(number, record)

    def _collect_at_end(self) -> None:
        """After an interruption: what is being written is written to its end, the rest is not
        begun."""
        self.writers.shutdown(wait=True, cancel_futures=True)
        self.pending = deque(one for one in self.pending if not one.future.cancelled())
        with contextlib.suppress(OutputError):
            self._collect(0)

    def _fail(self, number: int, reason: str) -> None:
        self._forget(number)
        self.summary.failed += 1
        self.summary.failures.append(reason)
        task = self.plan[number]
        try:
            self.finisher.fail(task, reason)
        except OutputError:
            if self.unwritten == 0:
                raise
        self.listener.failed(number, self.finisher.head(task.source) | {"error": reason})

    def _forget(self, number: int) -> None:
        self.cases.pop(number, None)
        self.contents.pop(number, None)
        self.outcomes.pop(number, None)
        self.wanted.pop(number, None)
        self.filmed.pop(number, None)


def _opened(source: Source, config: Config) -> tuple[Case, Content]:
    """An input, and the content of its files, which has not changed while they were read."""
    if source.problem:
        raise InputError(source.problem)
    content = read_content(source)
    case = open_case(source, config)
    content.check()
    return case, content


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
