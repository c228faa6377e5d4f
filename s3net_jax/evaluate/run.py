"""An evaluation: segment a data set, score it beside the baselines, write tables and a report."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from s3net_jax.config import Config
from s3net_jax.errors import ConfigError
from s3net_jax.evaluate.datasets import Pair
from s3net_jax.evaluate.protocols import PROTOCOLS
from s3net_jax.evaluate.scores import (
    Score,
    read_scores,
    score_baselines,
    score_results,
    summarise,
    write_scores,
)
from s3net_jax.evaluate.truth import check_truths
from s3net_jax.io import make_folder, parse_window, remove_leftovers, write_text
from s3net_jax.io.write import make_subfolder
from s3net_jax.provenance import versions
from s3net_jax.run import Engine, Listener, Share, Summary, discover, segment_inputs
from s3net_jax.run.output.damage import find_damage
from s3net_jax.run.output.files import Draw
from s3net_jax.run.output.log import ResultLog
from s3net_jax.run.output.naming import known_names

__all__ = ["Evaluation", "evaluate"]


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
      run: how the segmentation went.
      method: the name of what was evaluated.
      scores: of it and of the baselines.
      summary: see :func:`summarise`.
      folder: with the predictions in ``predictions/``.
      records: image path → line of ``results.jsonl``.
    """

    run: Summary
    method: str
    scores: list[Score]
    summary: dict[str, Any]
    folder: Path
    records: dict[str, dict[str, Any]]


def evaluate(
    pairs: list[Pair],
    out: str | Path,
    config: Config,
    *,
    engine: Engine,
    draw: Draw,
    listener: Listener,
    seed: int = 0,
    seeds: int = 1,
    overwrite: bool = False,
    against: Path | None = None,
    method: str | None = None,
    baselines: list[Score] | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Evaluation:
    """Segments and scores a data set.

    Before anything is segmented every ground truth is checked (:func:`check_truths`); otherwise
    it is read by the scoring alone. Writes
    ``predictions/`` as :func:`segment_inputs` does (so a rerun goes on where it stopped),
    ``metrics.csv`` (a row for each method, image and protocol) and ``summary.json``.

    Args:
      pairs: of the data set; see :func:`pairs_of`.
      out: output folder.
      config, engine, draw, listener, seed, seeds, overwrite: see :func:`segment_inputs`.
      against: the ``metrics.csv`` of another evaluation (or its folder): its method joins the
        table, and is compared image by image.
      method: what the tables call this configuration; None: after its preset.
      baselines: scores of the baselines on these images, from an earlier evaluation; None
        computes them.
      say: is told what is being done.

    Raises:
      InputError: a ground truth can't be used.
      ConfigError: ``against`` is no table of scores, or has none of these images; and see
        :func:`segment_inputs`, as for OutputError.
    """
    other = None if against is None else _other(against, {pair.stem for pair in pairs})
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
        draw=draw,
        listener=listener,
        seed=seed,
        seeds=seeds,
        overwrite=overwrite,
        share=Share(0, 1),
    )
    log = ResultLog(predictions / "results.jsonl")
    records = _records(log, pairs, predictions)
    if method is None:
        method = f"s3net {config.preset}" + (f", {seeds} seeds" if seeds > 1 else "")
    say("scoring")
    scores = score_results(method, pairs, records, predictions)
    done = [pair for pair in pairs if str(pair.image) in records]
    stems = {pair.stem for pair in done}
    if baselines is None:
        scores += score_baselines(done, window=parse_window(config.input.window))
    else:
        scores += [score for score in baselines if score.image in stems]
    if other is not None:
        shared = [score for score in other if score.image in stems]
        scores += _renamed(shared, {score.method for score in scores})
    summary = summarise(scores, method) | {
        "protocols": PROTOCOLS,
        "config": config.to_dict(),
        "config_digest": config.digest,
        "seed": seed,
        "seeds": seeds,
        "failed": run.failed,
        "failures": run.failures,
        "versions": versions(),
    }
    write_scores(folder / "metrics.csv", scores)
    text = json.dumps(summary, indent=1, ensure_ascii=False) + "\n"
    write_text(folder / "summary.json", text)
    return Evaluation(run, method, scores, summary, folder, records)


def _records(log: ResultLog, pairs: list[Pair], folder: Path) -> dict[str, dict[str, Any]]:
    """Image path → its finished record: the data may have been moved since. Results whose files
    are damaged, and could not be made again, are left out: their inputs are among the failures."""
    sources = known_names(discover(pair.image for pair in pairs), log)
    found = {str(source.path): log.result(source.stem) for source in sources}
    return {
        path: record
        for path, record in found.items()
        if record is not None and not find_damage(folder, record)
    }


def _other(path: Path, images: set[str]) -> list[Score]:
    """The learned method of another evaluation, what its table begins with, on these images."""
    scores = read_scores(path / "metrics.csv" if path.is_dir() else path)
    found = [s for s in scores if s.method == scores[0].method and s.image in images]
    if not found:
        raise ConfigError(f"{path} has no scores of these images: nothing could be compared.")
    return found


def _renamed(scores: list[Score], taken: set[str]) -> list[Score]:
    name = scores[0].method if scores else ""
    if name not in taken:
        return scores
    return [replace(score, method=f"{name} (other)") for score in scores]
