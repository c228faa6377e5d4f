"""Evaluate a configuration: segment a data set, score it beside baselines and write tables."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from s3net_jax.config import ALL_SLICES, Config
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
    """Results of an evaluation.

    Attributes:
      run: summary of the segmentation run.
      method: name of the evaluated method.
      scores: scores of the method and of the baselines.
      summary: contents of ``summary.json``.
      folder: output folder; the predictions are in ``predictions/``.
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
    model: str | Path | None = None,
) -> Evaluation:
    """Segment and score a data set.

    All ground truths are checked before the first fit (:func:`check_truths`) and are used only for
    scoring. The function writes ``predictions/`` with :func:`segment_inputs`, so a repeated call
    resumes; ``metrics.csv``, with a row for each method, image and protocol; and ``summary.json``.
    A method that trains on a folder trains on the images, without their ground truths; the seconds
    of each image include an equal share of the training.

    Args:
      pairs: images and ground truths; see :func:`find_pairs`.
      out: output folder.
      config: configuration of the fits.
      engine, listener, seed, seeds, overwrite, model: see :func:`segment_inputs`.
      against: ``metrics.csv`` of an earlier evaluation, or its folder. The method evaluated there
        is added to the table and compared image by image. None adds no method.
      method: name of this configuration in the tables; None derives it from the preset.
      baselines: scores of the baselines on these images; None computes them.

    Raises:
      InputError: a ground truth is unusable.
      ConfigError: ``input.slices`` selects slices; ``against`` is not a table of scores or contains
        none of these images; see also :func:`segment_inputs`.
      OutputError: see :func:`segment_inputs`.
    """
    if config.input.slices != ALL_SLICES:
        raise ConfigError(
            f"An evaluation scores whole volumes: omit input.slices={config.input.slices}."
        )
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
        model=model,
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
    training = sum(network.get("seconds", 0.0) for network in run.networks)
    if training:
        summary["training_seconds"] = training
    write_scores(folder / "metrics.csv", scores)
    write_json(folder / "summary.json", summary)
    return Evaluation(run, method, scores, summary, folder, records)


def _make_tick(listener: Listener, name: str, total: int) -> Callable[[], None]:
    """Announce a phase and return a thread-safe function to call after each image.

    Args:
      listener: listener that shows the phase.
      name: name of the phase.
      total: number of images; 0 announces nothing.
    """
    if not total:
        return lambda: None
    listener.show_phase(name, 0, total)
    numbers = itertools.count(1)
    return lambda: listener.show_phase(name, next(numbers), total)


def _find_records(log: ResultLog, pairs: list[Pair], folder: Path) -> dict[str, ResultRecord]:
    """Find the record of each image, by image path.

    The data may have been moved since the records were written. Results with damaged files are
    omitted: they could not be repaired, so their inputs count as failed.
    """
    sources = restore_names(discover(pair.image for pair in pairs), log)
    found = {str(source.path): log.find_result(source.stem) for source in sources}
    return {
        path: record
        for path, record in found.items()
        if record is not None and not find_damage(folder, record)
    }


def _read_other(path: Path, images: set[str], criteria: Criteria) -> list[Score]:
    """Read the scores of the method that another evaluation evaluated.

    Args:
      path: ``metrics.csv`` or its folder; the first rows belong to the evaluated method.
      images: names of the images to keep.
      criteria: what is measured on these images.

    Raises:
      ConfigError: the file is not a table of scores, contains none of the images, or has other
        metrics.
    """
    scores = read_scores(path / "metrics.csv" if path.is_dir() else path)
    found = [s for s in scores if s.method == scores[0].method and s.image in images]
    if not found:
        raise ConfigError(
            f"{path} contains no scores of these images: compare with another evaluation."
        )
    if not {score.protocol for score in found} <= criteria.protocols.keys():
        names = ", ".join(criteria.metrics)
        raise ConfigError(f"{path} has other metrics than this evaluation, which needs {names}.")
    return found


def _rename_method(scores: list[Score], taken: set[str]) -> list[Score]:
    name = scores[0].method if scores else ""
    if name not in taken:
        return scores
    return [replace(score, method=f"{name} (other)") for score in scores]
