"""Run a search, one image at a time; every score is saved as soon as it is computed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from s3net_jax.criteria import TARGET
from s3net_jax.errors import ConfigError
from s3net_jax.evaluate import PROTOCOLS, Pair, check_all
from s3net_jax.experiments.data import open_data
from s3net_jax.experiments.fields import check_targets
from s3net_jax.experiments.folder import begin_folder
from s3net_jax.experiments.tuning.fits import Call, SettingFitter
from s3net_jax.experiments.tuning.scores import Scorer
from s3net_jax.experiments.tuning.settings import list_settings, name_setting
from s3net_jax.experiments.tuning.spec import Tuning
from s3net_jax.experiments.tuning.summary import summarise_tuning
from s3net_jax.experiments.tuning.tables import format_tuning, write_tables
from s3net_jax.io import remove_file
from s3net_jax.run import Content, RecordLog, Source, read_content
from s3net_jax.schema import ScoreRecord, TuningSummary, check_score

__all__ = ["Tuned", "run_tuning"]


@dataclass(frozen=True, eq=False)
class Tuned:
    """Result of a search.

    Attributes:
      folder: folder with the tables.
      summary: content of ``summary.json``.
      text: table for a terminal.
    """

    folder: Path
    summary: TuningSummary
    text: str


def run_tuning(
    tuning: Tuning,
    out: str | Path,
    *,
    batch: int | None = None,
    call: Call = lambda compute: compute(),
    overwrite: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Tuned:
    """Fit and score every setting on every image.

    A line for each image, seed and setting is appended to ``scores.jsonl`` at once, so a killed
    search can be resumed. After every image, ``table.csv`` (all settings and numbers of steps),
    ``table.md`` (the best settings), ``summary.json`` and ``report.html`` are rewritten for the
    images that are done.

    Args:
      tuning: search to run.
      out: output folder.
      batch: maximum number of settings at once; None for the most that fit in memory and still
        improve throughput.
      call: function that runs each batch; see :data:`s3net_jax.experiments.tuning.fits.Call`.
      overwrite: whether to replace existing results.
      say: function called with progress messages.

    Raises:
      ConfigError: if a data set is not found, an image is a volume, or the configuration is
        invalid.
      InputError: if an image or a ground truth cannot be used.
      OutputError: if the folder cannot be written or contains something else.
    """
    check_targets(tuning.config)
    images = [(data.name, pair) for data in tuning.data for pair in open_data(data)]
    for _, pair in images:
        if pair.kind != "image":
            raise ConfigError(f"{pair.image} is a volume, but s3net tune only accepts 2D images.")
        if pair.criteria is not TARGET:
            raise ConfigError(
                f"{pair.truth} divides the whole image, but s3net tune needs masks of a target."
            )
    check_all([lambda pair=pair: Scorer(pair, tuning.config) for _, pair in images])
    # The grid may change between runs, because each score is stored by setting; all else may not.
    shared = {
        "kind": "tuning",
        "config": tuning.config.digest,
        "steps": list(tuning.steps),
    }
    folder = begin_folder(Path(out), tuning.title, {}, shared, overwrite)
    if overwrite:
        remove_file(folder / "scores.jsonl")
    log = RecordLog(folder / "scores.jsonl", check_score)
    settings = list_settings(tuning)
    seeds = range(tuning.seed, tuning.seed + tuning.seeds)
    fitter = SettingFitter(tuning.config, batch, call, say)
    done: dict[str, list[list[ScoreRecord]]] = {}
    summary: TuningSummary | None = None
    for number, (data, pair) in enumerate(images):
        say(
            f"{pair.stem} of {data} ({number + 1} of {len(images)}): {len(settings)} settings, "
            f"{tuning.config.fit.steps} steps"
        )
        start = time.perf_counter()
        done[f"{data}/{pair.stem}"] = [
            _score_image(tuning, fitter, log, data, pair, seed) for seed in seeds
        ]
        seconds = time.perf_counter() - start
        summary = summarise_tuning(tuning, settings, done, len(images))
        write_tables(folder, tuning, settings, summary)
        best = summary["best"][0]
        mean = best["protocols"]["blind"]["mean"]
        say(f"done in {seconds:.0f} s; best mean blind DSC so far {mean:.1f}: {best['options']}")
    assert summary is not None  # a data set has at least one image
    return Tuned(folder, summary, format_tuning(summary))


def _score_image(
    tuning: Tuning,
    fitter: SettingFitter,
    log: RecordLog[ScoreRecord],
    data: str,
    pair: Pair,
    seed: int,
) -> list[ScoreRecord]:
    """Return a record for each setting; only missing ones are computed."""
    settings = list_settings(tuning)
    content, digest = _read_content(pair)
    keys = [f"{data}/{pair.stem} seed={seed} {name_setting(setting)}" for setting in settings]
    known = [log.get(key) for key in keys]
    missing = [n for n, found in enumerate(known) if not _is_usable(found, digest, tuning)]
    if missing:
        scorer = Scorer(pair, tuning.config)
        for one in content:
            one.check()
        fits = fitter.fit(scorer.pixels, [settings[n] for n in missing], seed)
        for n, maps in zip(missing, fits, strict=True):
            found: ScoreRecord = {
                "stem": keys[n],
                "sha256": digest,
                "dsc": scorer(maps, tuning.steps),
            }
            log.put(found)
            known[n] = found
    return [record for record in known if record is not None]


def _is_usable(record: ScoreRecord | None, digest: str, tuning: Tuning) -> bool:
    """Return whether a record has this digest and a value for each protocol and step."""
    if record is None or record["sha256"] != digest:
        return False
    figures = [record["dsc"].get(protocol, ()) for protocol in PROTOCOLS]
    return all(len(one) == len(tuning.steps) for one in figures)


def _read_content(pair: Pair) -> tuple[list[Content], str]:
    """Read the current image and ground truth, and compute their joint digest."""
    found = [read_content(Source(path, pair.stem)) for path in (pair.image, pair.truth)]
    joined = hashlib.sha256(b"".join(bytes.fromhex(one.digest) for one in found))
    return found, joined.hexdigest()
