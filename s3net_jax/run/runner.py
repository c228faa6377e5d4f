"""Segment many inputs in batches; write each result as soon as it is done, isolate failures."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from s3net_jax.config import Config
from s3net_jax.errors import ConfigError, OutputError
from s3net_jax.io import make_folder, parse_window, remove_leftovers
from s3net_jax.masks import check_target
from s3net_jax.measure import check_exports
from s3net_jax.parallel import PIXELS_HELD, count_usable_cores
from s3net_jax.run.batches import Job, make_chunks
from s3net_jax.run.distributed import SINGLE_PROCESS, Rank
from s3net_jax.run.engines import Engine
from s3net_jax.run.inputs import discover
from s3net_jax.run.keeping import FitKeeper
from s3net_jax.run.models import Models, find_models, open_model, train_models
from s3net_jax.run.network import Network, is_trained_on_folder
from s3net_jax.run.opening import explain, open_input
from s3net_jax.run.outcome import Failed, Outcome
from s3net_jax.run.output.lock import hold_folder
from s3net_jax.run.output.log import ResultLog
from s3net_jax.run.output.naming import restore_names
from s3net_jax.run.output.plan import Task, make_plan
from s3net_jax.run.output.record import describe_failure
from s3net_jax.run.output.steps import reduce_maps
from s3net_jax.run.output.tables import remove_tables, write_tables
from s3net_jax.run.output.versions import Versions
from s3net_jax.run.output.writer import OpenInput, ResultWriter
from s3net_jax.run.review import ReportUpdates, check_report
from s3net_jax.run.settings import Identity, OutputOptions, RunSettings
from s3net_jax.run.summary import Listener, Summary, write_run
from s3net_jax.run.volume_network import find_networks
from s3net_jax.schema import FinishedRecord, ResultRecord

__all__ = ["segment_inputs"]

_WRITERS = 8  # threads that write results: enough to keep up with a GPU
_FULL = 3  # consecutive write failures after which the disk is taken to be full


def segment_inputs(
    inputs: Iterable[str | Path],
    out: str | Path,
    config: Config,
    *,
    engine: Engine,
    listener: Listener,
    seed: int = 0,
    seeds: int = 1,
    overwrite: bool = False,
    rank: Rank = SINGLE_PROCESS,
    recursive: bool = False,
    model: str | Path | None = None,
    output: OutputOptions | None = None,
    report: bool = False,
    command: str = "",
) -> Summary:
    """Segment every input and write the results into a folder; bad inputs are reported and skipped.

    For each input this writes a label map, a mask, an overlay, the history of its fits, with
    ``fit.record_labels`` a film of the clusters over the steps (see :func:`plan_files`), and a line
    in ``results.jsonl``; for the run it writes ``run.json``, with ``output`` the tables of
    :func:`write_tables`, and with ``report`` the page ``report.html``. Existing results of the same
    content, configuration, seeds and output options are kept under their names; results whose
    files are missing or damaged are computed again.

    A method that trains on a folder trains one network on all inputs first, at the size of the
    network, and writes it as ``model.npz`` (``model-SEED.npz`` for several seeds). The network is
    then applied to every input. A repeated call uses the file if settings and inputs are the same.

    Args:
      inputs: files, folders and patterns; see :func:`discover`.
      out: output folder, created if it does not exist.
      config: configuration of every fit.
      engine: engine that runs the fits.
      listener: object that receives the events of the run.
      seed: first seed of every image, so that a result does not depend on other inputs.
      seeds: number of fits of every image; their consensus is the result.
      overwrite: whether to replace earlier results. Those of the inputs are then invalidated at the
        start, and their files are replaced one input at a time, or deleted if the input fails. To
        resume a run that was killed, pass False.
      rank: share of the inputs that this process segments.
      recursive: whether to search sub-folders; see :func:`discover`.
      model: file of a trained network that is applied to every input; None fits or trains.
      output: measures and further files to write; None writes none.
      report: whether to write ``report.html``, a page of all results in the folder, during the run.
      command: command line to record in ``run.json``, or "".

    Raises:
      ConfigError: the configuration is invalid, or not that of ``model``, or a package that an
        export needs is missing.
      InputError: ``model`` can't be read.
      OutputError: the folder can't be written, another run is using it, or it holds other
        results or a network that was trained otherwise; see :func:`make_plan`.
    """
    from s3net_jax.nn.layers import get_param_dtype

    check_target(config.segment.target)
    parse_window(config.input.window)
    get_param_dtype(config.model.dtype)
    check_exports(() if output is None else output.export)
    models = Models() if model is None else open_model(Path(model), config, seed, seeds)
    trains = model is None and is_trained_on_folder(config)
    if trains or model is not None:  # a prediction has no steps to record
        config = config.replace(fit={"record_labels": False})
    skipped: list[str] = []
    sources = discover(inputs, skipped.append, recursive)
    if output is not None:
        skipped += output.note_unused({source.kind for source in sources})
    options = "" if output is None else output.key
    identity = Identity(config.digest, seed, seeds, models.digest, options)
    settings = RunSettings(make_folder(out), config, identity, overwrite, rank, output, command)
    purpose = [*dataclasses.astuple(identity), rank.count]
    with hold_folder(settings.folder, rank.index, purpose):
        remove_leftovers(settings.folder)
        if report and not overwrite:
            check_report(settings.folder)
        log = ResultLog(settings.folder / "results.jsonl", rank.index)
        Versions(settings.folder, log).repair()
        sources = restore_names(sources, log)
        if trains:
            models = find_models(settings, sources, log)
            settings = _use_models(settings, models)
        plan = make_plan(sources, settings, log)
        updates = ReportUpdates(settings.folder, rank.index == 0) if report else None
        run = _Run(settings, rank.select(plan), log, engine, listener, models, updates)
        run.summary.notes += skipped
        return run.segment_all()


def _use_models(settings: RunSettings, models: Models) -> RunSettings:
    """Make the networks part of what all results in the folder share."""
    identity = dataclasses.replace(settings.identity, networks=models.digest)
    return dataclasses.replace(settings, identity=identity)


class _Pending(NamedTuple):
    """A result that is being written."""

    number: int
    pixels: int
    future: Future[FinishedRecord]


class _Run:
    """State of one run."""

    def __init__(
        self,
        settings: RunSettings,
        plan: list[Task],
        log: ResultLog,
        engine: Engine,
        listener: Listener,
        models: Models,
        updates: ReportUpdates | None,
    ) -> None:
        self.models = models
        self.settings, self.plan, self.log = settings, plan, log
        self.engine, self.listener, self.updates = engine, listener, updates
        networks = [*models.records.values()]
        self.summary = Summary(settings.folder, networks=networks, inputs=len(plan))
        self.clock = time.perf_counter()
        self.opened: dict[int, OpenInput] = {}
        self.unwritten = 0
        self.keeper = FitKeeper(settings, listener)
        self.writer = ResultWriter(settings, log)
        # Results are made and written while the next fits run.
        self.threads = ThreadPoolExecutor(min(count_usable_cores(), _WRITERS), "s3net-results")
        self.counting = threading.Lock()
        self.pending: deque[_Pending] = deque()

    def segment_all(self) -> Summary:
        """Execute the plan; ``run.json`` is written even after an error."""
        if self.settings.output is not None and self.settings.overwrite:
            remove_tables(self.settings.folder)
        self.writer.invalidate(task for task in self.plan if task.is_replacing)
        self.keeper.clean(self.plan)
        self.listener.begin(len(self.plan))
        for text in (*self.log.notes, *(task.remark for task in self.plan if task.remark)):
            self.listener.say(text)
        for note in self.summary.notes:
            self.listener.say(note)
        for one in self.models.records.values():
            self.listener.say(f"Applying the network in {one.get('file')}.")
        self._save_run()
        self._update_report()
        progress = self.listener.step
        try:
            if self.models.missing:
                self._train()
            chunks = make_chunks(self._make_jobs(), self.settings.config, self.engine.size())
            for chunk, outcomes in self.engine.run(chunks, progress):
                for job, outcome in zip(chunk.jobs, outcomes, strict=True):
                    self._take(job, outcome)
                for number in {job.task for job in chunk.jobs}:
                    self.keeper.show(number, self.opened.get(number))
                self._collect(PIXELS_HELD)
                self._update_report()
            if self.pending:
                self.listener.show_phase("results")
            self._collect(0)
            self._write_tables()
            self.summary.status = "finished"
        except BaseException:
            self.summary.status = "interrupted"
            self._collect_at_end()
            raise
        finally:
            self.threads.shutdown(wait=False)
            self.log.settle()
            self._save_run()
            self._finish_report()
        return self.summary

    def _train(self) -> None:
        """Train the networks of this run, which all its results then share."""
        train_models(self.models, self.plan, self.settings, self.listener)
        self.settings = _use_models(self.settings, self.models)
        self.writer = ResultWriter(self.settings, self.log)
        self.summary.networks = [*self.models.records.values()]

    def _update_report(self) -> None:
        if self.updates is not None and self.updates.is_due():
            self._save_run()  # the page reads the counts from run.json
            self.updates.begin()

    def _finish_report(self) -> None:
        if self.updates is None:
            return
        is_finished = self.summary.status == "finished"
        if is_finished:
            self.listener.show_phase("report")
        self.summary.report, problem = self.updates.finish(draw_all=is_finished)
        if problem:
            self.listener.say(problem)

    def _save_run(self) -> None:
        self.summary.seconds = round(time.perf_counter() - self.clock, 3)
        write_run(self.summary, self.settings, self.engine)

    def _make_jobs(self) -> Iterator[Job]:
        """Yield the jobs of one input after another, opening each input only when it is reached."""
        seeds = self.settings.identity.all_seeds
        for number, task in enumerate(self.plan):
            if task.is_done:
                self.summary.skipped += 1
                known: ResultRecord = self.log.get(task.source.stem) or {"stem": task.source.stem}
                with self.counting:
                    self.summary.count_confidence(known)
                self.listener.report_skipped(number, known)
                continue
            self.listener.start(number, task.source)
            try:
                opened = open_input(task, self.settings)
                networks = self._find_networks(opened)
            except (ConfigError, OutputError):
                raise
            except Exception as error:  # the other inputs can still be processed
                self._fail(number, explain(error, str(task.source.path)))
                continue
            self.opened[number] = opened
            self.keeper.announce(number, opened)
            if opened.is_complete:  # an earlier run was killed before it wrote the result
                self._submit(number, opened)
            for index in range(len(opened.case)):
                image = opened.case.piece(index)
                if image is None:
                    continue
                for seed in seeds:
                    if number not in self.opened:  # complete, or another piece of it has failed
                        break
                    if (index, seed) in opened.fits:
                        continue
                    yield Job(number, index, seed, image, networks.get(seed))

    def _find_networks(self, opened: OpenInput) -> Mapping[int, Network]:
        """Find the networks to apply to an input; train those of a volume, if it has its own."""
        found = find_networks(
            opened.case,
            self.settings.config,
            self.settings.identity.all_seeds,
            self.models.networks,
            lambda done, total: self.listener.show_phase("training", done, total),
        )
        opened.shared.extend(found.records)
        return found.networks

    def _take(self, job: Job, outcome: Outcome) -> None:
        """Store one outcome; write the result of an input after its last outcome."""
        opened = self.opened.get(job.task)
        if opened is None:
            return
        case = opened.case
        if isinstance(outcome, Failed):
            name = str(opened.task.source.path)
            where = "" if len(case) == 1 else f" ({job.image.name})"
            self._fail(job.task, _join_reason(name + where, outcome.reason))
            return
        key = job.index, job.seed
        opened.fits[key] = reduce_maps(outcome, key in opened.filmed)
        self.keeper.keep(opened, key)
        if opened.is_complete:
            self.keeper.show(job.task, opened)
            self._submit(job.task, opened)

    def _submit(self, number: int, opened: OpenInput) -> None:
        """Write the result of an input in a thread."""
        case, future = opened.case, self.threads.submit(self._write, opened)
        slices = 1 if case.volume is None else len(case)
        self.pending.append(_Pending(number, slices * math.prod(case.pixels), future))
        del self.opened[number]

    def _write(self, opened: OpenInput) -> FinishedRecord:
        """Write and count a result, in a thread, so that no signal interrupts between the two."""
        record = self.writer.write(opened)
        with self.counting:
            self.summary.done += 1
            self.summary.times.append(record["seconds"])
            self.summary.count_confidence(record)
        return record

    def _collect(self, left: int) -> None:
        """Report written results in order; wait while more than ``left`` pixels are unwritten."""
        while self.pending:
            number, _, future = self.pending[0]
            if sum(one.pixels for one in self.pending) <= left and not future.done():
                return
            try:
                future.exception()  # wait first, so that an interruption loses no result
                self.pending.popleft()
                record = future.result()
            except OutputError as error:
                self.unwritten += 1
                if self.unwritten >= _FULL:
                    raise
                self._fail(number, str(error))
                continue
            except Exception as error:
                self._fail(number, explain(error, str(self.plan[number].source.path)))
                continue
            self.unwritten = 0
            self.listener.report_done(number, record)

    def _collect_at_end(self) -> None:
        """After an interruption, finish results that are being written and cancel the others."""
        self.threads.shutdown(wait=True, cancel_futures=True)
        self.pending = deque(one for one in self.pending if not one.future.cancelled())
        with contextlib.suppress(OutputError):
            self._collect(0)
            self._write_tables(is_finished=False)

    def _write_tables(self, is_finished: bool = True) -> None:
        """Write the tables of the folder, and show which results they lack."""
        if self.settings.output is None:
            return
        if is_finished and "coco" in self.settings.output.export:
            self.listener.show_phase("annotations")
        for note in write_tables(self.settings.folder, self.settings.output, is_finished):
            self.summary.notes.append(note)
            self.listener.say(note)

    def _fail(self, number: int, reason: str) -> None:
        self.opened.pop(number, None)
        self.summary.failed += 1
        self.summary.failures.append(reason)
        task = self.plan[number]
        record = describe_failure(task.source, self.settings.identity, reason)
        try:
            self.writer.write_failure(task, record)
        except OutputError:
            if self.unwritten == 0:
                raise
        self.listener.report_failed(number, record)


def _join_reason(name: str, reason: str) -> str:
    """Join a name and a reason, which is a clause or a sentence, into one sentence."""
    return f"{name} {reason}" if reason[:1].islower() else f"{name}: {reason}"
