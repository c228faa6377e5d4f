"""Write the report of an evaluation, with the pictures it shows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from s3net_jax.config import Config
from s3net_jax.criteria import TARGET, Criteria, get_criteria
from s3net_jax.evaluate.datasets import Pair
from s3net_jax.evaluate.geometry import Grid
from s3net_jax.evaluate.regions import split_components
from s3net_jax.evaluate.run import Evaluation
from s3net_jax.evaluate.truth import read_grid, read_segmentations, read_truth
from s3net_jax.io import parse_window, read, read_film, write_text
from s3net_jax.report import Closeup, Picture, build_page
from s3net_jax.run import Source, VolumeCase, open_case, read_history, read_result

__all__ = ["write_report"]

_EXTREMES = 3  # number of best and of worst images shown in detail


def write_report(found: Evaluation, pairs: list[Pair], title: str) -> Path:
    """Write ``report.html`` into the evaluation's folder and return its path.

    A volume is represented by the slice with the largest area of ground truth. A page of 200 images
    is smaller than 10 MB.

    Args:
      found: evaluation to report.
      pairs: images and ground truths that were evaluated.
      title: title of the page.
    """
    criteria = get_criteria(found.summary["protocols"])
    main: dict[str, list[float]] = {}
    for score in found.scores:
        if score.protocol == criteria.protocol:
            main.setdefault(score.method, []).append(score.metrics[criteria.metric])
    figures = _collect_figures(found, criteria)
    scored = [pair for pair in pairs if pair.stem in figures]
    shown = [_make_closeup(found, pair, figures[pair.stem]) for pair in scored]
    ranked = sorted(shown, key=lambda one: -next(iter(one.picture.scores.values())))
    some = min(_EXTREMES, (len(ranked) + 1) // 2)
    best, worst = ranked[:some], ranked[some:][::-1][:_EXTREMES]
    pictures = [one.picture for one in shown]
    text = build_page(title, found.summary, main, pictures, best, worst)
    path = found.folder / "report.html"
    write_text(path, text)
    return path


def _collect_figures(found: Evaluation, criteria: Criteria) -> dict[str, dict[str, float]]:
    """Collect the figures below each picture, the most important first.

    For masks these are the DSC under every protocol; for regions the metrics of one protocol that
    are better if higher, since the gallery sorts by each of them.
    """
    figures: dict[str, dict[str, float]] = {}
    for score in found.scores:
        if score.method != found.method:
            continue
        one = figures.setdefault(score.image, {})
        if criteria is TARGET:
            one[score.protocol] = score.metrics[criteria.metric]
        elif score.protocol == criteria.protocol:
            one |= {
                metric.name: score.metrics[name]
                for name, metric in criteria.metrics.items()
                if metric.is_higher_better
            }
    first = criteria.protocol if criteria is TARGET else criteria.metrics[criteria.metric].name
    return {image: {first: one[first], **one} for image, one in figures.items()}


@dataclass(frozen=True, eq=False)
class _Pixels:
    """Arrays shown for one input: image (H, W, 3); labels, mask and truth (H, W), the latter two as
    label maps where regions are scored; agreement (H, W) over several seeds; and a remark that
    names the slice of a volume."""

    image: np.ndarray
    labels: np.ndarray
    mask: np.ndarray
    truth: np.ndarray
    agreement: np.ndarray | None
    remark: str


def _make_closeup(found: Evaluation, pair: Pair, scores: dict[str, float]) -> Closeup:
    record = found.records[str(pair.image)]
    folder = found.folder / "predictions"
    names = record.get("outputs", {})
    volume = pair.kind != "image"

    @lru_cache(maxsize=1 if volume else 0)  # a slice is small, but reading its volume is slow
    def read_pixels() -> _Pixels:
        maps = {kind: folder / name for kind, name in names.items()}
        config = Config().replace(**found.summary["config"])
        return _read_slice(pair, maps, config) if volume else _read_picture(pair, maps, config)

    def read_agreement() -> np.ndarray:
        share = read_pixels().agreement
        assert share is not None
        return share

    def read_histories() -> list[dict[str, Any]]:
        fits = read_history(folder / names["history"])
        middle = fits[len(fits) // 2]["piece"]
        return [fit for fit in fits if fit["piece"] == middle]

    return Closeup(
        Picture(
            pair.stem,
            lambda: read_pixels().image,
            lambda: read_pixels().mask,
            lambda: read_pixels().truth,
            scores,
            read_pixels().remark if volume else "",
            metric="DSC" if pair.criteria is TARGET else "",
        ),
        lambda: read_pixels().labels,
        read_agreement if "agreement" in names else None,
        (lambda: read_film(folder / names["steps"])) if "steps" in names else None,
        read_histories if "history" in names and record.get("steps", 1) else None,
    )


def _read_picture(pair: Pair, maps: dict[str, Path], config: Config) -> _Pixels:
    is_target = pair.criteria is TARGET
    read_any = read_truth if is_target else _read_middle_segmentation
    truth = read_any(pair.truth, read_grid(pair))
    labels = read_result(maps["labels"], truth.shape)
    mask = read_result(maps["mask"], truth.shape) > 0 if is_target else split_components(labels)
    share = read_result(maps["agreement"], truth.shape) / 255 if "agreement" in maps else None
    image = read(pair.image, parse_window(config.input.window))
    return _Pixels(image.rgb8(), labels, mask, truth, share, "")


def _read_middle_segmentation(path: Path, grid: Grid | None) -> np.ndarray:
    """Read the human segmentation with the median number of segments."""
    people = read_segmentations(path, grid)
    ranked = sorted(people, key=lambda one: len(np.unique(one)))
    return ranked[len(ranked) // 2]


def _read_slice(pair: Pair, maps: dict[str, Path], config: Config) -> _Pixels:
    """Read the slice with the largest area of ground truth, skipping slices of constant value."""
    case = open_case(Source(pair.image, pair.stem, None, pair.kind), config)
    assert isinstance(case, VolumeCase)
    truth = case.view.get_slices(read_truth(pair.truth, read_grid(pair)))
    shown = [n for n in range(len(case)) if case.piece(n) is not None]
    n = max(shown, key=lambda n: int(truth[n].sum()))
    piece = case.piece(n)
    assert piece is not None

    def read_part(kind: str) -> np.ndarray:
        # Copy the slice: a view would keep the whole volume in memory.
        found = read_result(maps[kind], case.view.volume.shape)
        return case.view.get_slices(found)[n].copy()

    share = read_part("agreement") if "agreement" in maps else None
    return _Pixels(
        piece.rgb8(),
        read_part("labels"),
        read_part("mask") > 0,
        truth[n].copy(),
        share / 255 if share is not None and pair.kind == "stack" else share,
        f"slice {n + 1} of {len(case)}",
    )
