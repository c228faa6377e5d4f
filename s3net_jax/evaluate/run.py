"""An evaluation: segment a data set, score it beside the baselines, write tables and a report."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from s3net_jax.config import Config
from s3net_jax.criteria import TARGET, Criteria
from s3net_jax.errors import ConfigError
from s3net_jax.evaluate.datasets import Pair
from s3net_jax.evaluate.scores import (
    Score,
    read_scores,
    score_baselines,
    score_results,
    summarise,
    write_scores,
)
from s3net_jax.evaluate.truth import check_truths
from s3net_jax.io import make_folder, make_subfolder, parse_window, remove_leftovers
from s3net_jax.provenance import collect_versions, find_commit
from s3net_jax.run import (
    Engine,
    Listener,
    ResultLog,
    Summary,
    discover,
    find_damage,
    restore_names,
    segment_inputs,
)
from s3net_jax.schema import EvaluationSummary, ResultRecord, write_json

__all__ = ["Evaluation", "evaluate"]


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
      run: how the segmentation went.
      method: name of the method that was evaluated.
      scores: scores of the method and of the baselines.
      summary: what ``summary.json`` holds.
      folder: output folder, with the predictions in ``predictions/``.
      records: image path → line of ``results.jsonl``.
    """

    run: Summary
    method: str
    scores: list[Score]
    summary: EvaluationSummary
    folder: Path
    records: dict[str, ResultRecord]


def evaluate(
    pairs: list[Pair],
    out: str | Path,
    config: Config,
    *,
    engine: Engine,
    listener: Listener,
    seed: int = 0,
    seeds: int = 1,
    overwrite: bool = False,
    against: Path | None = None,
    method: str | None = None,
    baselines: list[Score] | None = None,
) -> Evaluation:
    """Segment and score a data set.

    Every ground truth is checked before anything is segmented (:func:`check_truths`); beyond that
    only the scoring reads it. Writes ``predictions/`` as :func:`segment_inputs` does (so a repeated
    command resumes), ``metrics.csv`` (a row for each method, image and protocol) and
    ``summary.json``.

    Args:
      pairs: the data set; see :func:`find_pairs`.
      out: output folder.
      config, engine, listener, seed, seeds, overwrite: see :func:`segment_inputs`.
      against: the ``metrics.csv`` of another evaluation (or its folder): its method joins the
        table, and is compared image by image.
      method: what the tables call this configuration; None: after its preset.
      baselines: scores of the baselines on these images, from an earlier evaluation; None
        computes them.

    Raises:
      InputError: a ground truth can't be used.
      ConfigError: ``against`` is no table of scores, or has none of these images; and see
        :func:`segment_inputs`, as for OutputError.
    """
    criteria = pairs[0].criteria if pairs else TARGET
    stems = {pair.stem for pair in pairs}
    other = None if against is None else _read_other(against, stems, criteria)
    check_truths(pairs)
    folder = make_folder(out)
    remove_leftovers(folder)
    predictions = make_subfolder(folder, "predictions")
    images = [pair.image for pair in pairs]
    run = segment_inputs(
        images,
        predictions,
        config,
        engine=engine,
        listener=listener,
        seed=seed,
        seeds=seeds,
        overwrite=overwrite,
    )
    log = ResultLog(predictions / "results.jsonl")
    records = _find_records(log, pairs, predictions)
    if method is None:
        method = f"s3net {config.preset}" + (f", {seeds} seeds" if seeds > 1 else "")
    done = [pair for pair in pairs if str(pair.image) in records]
    stems = {pair.stem for pair in done}
    tick = _make_tick(listener, "scoring", len(done))
    scores = score_results(method, done, records, predictions, tick)
    if baselines is None:
        images = [pair for pair in done if pair.kind == "image"]
        tick = _make_tick(listener, "baselines", len(images))
        scores += score_baselines(images, window=parse_window(config.input.window), tick=tick)
    else:
        scores += [score for score in baselines if score.image in stems]
    if other is not None:
        shared = [score for score in other if score.image in stems]
        scores += _rename_method(shared, {score.method for score in scores})
    found = summarise(scores, method)
    summary: EvaluationSummary = {
        "methods": found["methods"],
        "reference": found["reference"],
        "comparisons": found["comparisons"],
        "protocols": criteria.protocols,
        "config": config.to_dict(),
        "config_digest": config.digest,
        "seed": seed,
        "seeds": seeds,
        "failed": run.failed,
        "failures": run.failures,
        "versions": collect_versions(),
        "commit": find_commit(),
    }
    write_scores(folder / "metrics.csv", scores)
    write_json(folder / "summary.json", summary)
    return Evaluation(run, method, scores, summary, folder, records)


def _make_tick(listener: Listener, name: str, total: int) -> Callable[[], None]:
    """Begin a phase of ``total`` images; return what is called after each, from any thread."""
    if not total:
        return lambda: None
    listener.show_phase(name, 0, total)
    numbers = itertools.count(1)
    return lambda: listener.show_phase(name, next(numbers), total)


def _find_records(log: ResultLog, pairs: list[Pair], folder: Path) -> dict[str, ResultRecord]:
    """Find each image's record; the data may have been moved since. Results whose files are
    damaged, and could not be made again, are left out: their inputs are among the failures."""
    sources = restore_names(discover(pair.image for pair in pairs), log)
    found = {str(source.path): log.find_result(source.stem) for source in sources}
    return {
        path: record
        for path, record in found.items()
        if record is not None and not find_damage(folder, record)
    }


def _read_other(path: Path, images: set[str], criteria: Criteria) -> list[Score]:
    """Read the scores of another evaluation's own method, with which its table begins."""
    scores = read_scores(path / "metrics.csv" if path.is_dir() else path)
    found = [s for s in scores if s.method == scores[0].method and s.image in images]
    if not found:
        raise ConfigError(f"{path} has no scores of these images: nothing could be compared.")
    if not {score.protocol for score in found} <= criteria.protocols.keys():
        names = ", ".join(criteria.metrics)
        raise ConfigError(f"{path} has other metrics than this evaluation, which needs {names}.")
    return found


def _rename_method(scores: list[Score], taken: set[str]) -> list[Score]:
    name = scores[0].method if scores else ""
    if name not in taken:
        return scores
    return [replace(score, method=f"{name} (other)") for score in scores]
