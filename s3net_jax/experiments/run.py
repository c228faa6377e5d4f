"""Run methods × data sets as evaluations, and write the tables after each."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from s3net_jax.config import Config
from s3net_jax.criteria import get_criteria
from s3net_jax.evaluate import (
    STANDARD_BASELINES,
    Evaluation,
    Pair,
    Score,
    check_truths,
    evaluate,
    score_baselines,
    write_report,
)
from s3net_jax.experiments.data import open_data
from s3net_jax.experiments.folder import begin_folder
from s3net_jax.experiments.spec import Grid, Method
from s3net_jax.experiments.summary import Table, get_report_folder, make_summary, make_table
from s3net_jax.experiments.tables import format_interval, format_tables, write_tables
from s3net_jax.io import make_subfolder, parse_window
from s3net_jax.run import Engine, Listener
from s3net_jax.schema import GridSummary

__all__ = ["Attend", "Found", "run_grid"]

Attend = Callable[[Config, int, int], AbstractContextManager[tuple[Engine, Listener]]]
"""Function of configuration, first seed and number of seeds that opens the engine and listener for
one evaluation."""


@dataclass(frozen=True, eq=False)
class Found:
    """Result of an experiment.

    Attributes:
      folder: folder with the tables and the evaluations, ``DATA/METHOD/``.
      summary: content of ``summary.json``.
      text: tables for a terminal.
      failed: number of inputs that could not be segmented, over all evaluations.
    """

    folder: Path
    summary: GridSummary
    text: str
    failed: int


def run_grid(
    grid: Grid,
    out: str | Path,
    *,
    attend: Attend,
    overwrite: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Found:
    """Evaluate every method on every data set.

    ``table.csv``, ``table.md``, ``summary.json`` and ``report.html`` are rewritten after each
    evaluation, so a killed run leaves the tables of the finished part. Repeating the call resumes
    it. The trivial baselines are computed once for each data set and appear in every table.

    A method that trains on a folder trains one network on the images of each data set, without
    their ground truths.

    Args:
      grid: experiment to run.
      out: output folder.
      attend: function that opens engine and listener; see :data:`Attend`.
      overwrite: whether to replace existing results.
      say: function called with progress messages.

    Raises:
      ConfigError: if a data set is not found or a configuration is invalid.
      InputError: if an image of a baseline or a ground truth cannot be read.
      OutputError: if the folder cannot be written or contains another experiment.
    """
    data = {item.name: open_data(item) for item in grid.data}
    check_truths(pair for pairs in data.values() for pair in pairs)
    folder = begin_folder(
        Path(out),
        grid.title,
        {method.name: _identify(method) for method in grid.methods},
        # Only what is not the default, so that folders of earlier versions can be resumed.
        {"kind": grid.kind, "seed": grid.seed}
        | ({"repeats": grid.repeats} if grid.repeats > 1 else {}),
        overwrite,
    )
    tables: dict[str, Table] = {}
    fits = [method for method in grid.methods if method.config is not None]
    total, number, failed = len(data) * len(fits) * grid.repeats, 0, 0
    for name, pairs in data.items():
        say(f"baselines on {name}, {len(pairs)} images")
        trivial, scores = _score_baselines(grid, pairs)
        runs: dict[str, dict[int, list[Score]]] = {}
        tables[name] = make_table(grid, name, scores, runs)
        for method in fits:
            own = runs.setdefault(method.name, {})
            for seed in grid.list_seeds(method):
                number += 1
                repeat = f", seed {seed}" if grid.repeats > 1 else ""
                say(f"{method.name} on {name}{repeat} ({number} of {total})")
                place = make_subfolder(folder, *get_report_folder(grid, method, name, seed))
                found = _evaluate(
                    grid, method, name, pairs, place, trivial, attend, overwrite, seed
                )
                own[seed] = [score for score in found.scores if score.method == method.name]
                failed += found.run.failed
                tables[name] = make_table(grid, name, scores, runs)
                write_tables(folder, make_summary(grid, tables, failed), tables)
                say(_describe_run(found))
    summary = make_summary(grid, tables, failed)
    write_tables(folder, summary, tables)
    return Found(folder, summary, format_tables(tables, summary), failed)


def _identify(method: Method) -> dict[str, object]:
    if method.config is None:
        return {"baseline": method.predict is not None}
    return {"config": method.config.digest, "seeds": method.seeds}


def _score_baselines(grid: Grid, pairs: list[Pair]) -> tuple[list[Score], list[Score]]:
    """Score the baselines on one data set.

    Baselines use the window that all methods share; if methods differ, the default window.

    Returns:
      Scores of the standard baselines, and scores of all baselines including those that the
      experiment names.
    """
    named = {m.name: m.predict for m in grid.methods if m.predict is not None}
    windows = {m.config.input.window for m in grid.methods if m.config is not None}
    window = parse_window(windows.pop()) if len(windows) == 1 else None
    standard = STANDARD_BASELINES[pairs[0].criteria]
    found = score_baselines(pairs, {**standard, **named}, window)
    return [s for s in found if s.method in standard or s.method not in named], found


def _evaluate(
    grid: Grid,
    method: Method,
    data: str,
    pairs: list[Pair],
    folder: Path,
    baselines: list[Score],
    attend: Attend,
    overwrite: bool,
    seed: int,
) -> Evaluation:
    assert method.config is not None
    with attend(method.config, seed, method.seeds) as (engine, listener):
        found = evaluate(
            pairs,
            folder,
            method.config,
            engine=engine,
            listener=listener,
            seed=seed,
            seeds=method.seeds,
            overwrite=overwrite,
            method=method.name,
            baselines=baselines,
        )
    repeat = f", seed {seed}" if grid.repeats > 1 else ""
    write_report(found, pairs, f"{method.name} on {data}{repeat}")
    return found


def _describe_run(found: Evaluation) -> str:
    run = found.run
    counts = [f"{run.done} done"]
    counts += [f"{run.skipped} kept"] if run.skipped else []
    counts += [f"{run.failed} failed"] if run.failed else []
    if found.method in found.summary["methods"]:
        criteria = get_criteria(found.summary["protocols"])
        protocols = found.summary["methods"][found.method]["protocols"]
        mean = protocols[criteria.protocol][criteria.metric]
        counts.append(f"mean {criteria.main} {format_interval(mean)}")
    return f"{found.method}: {', '.join(counts)}"
