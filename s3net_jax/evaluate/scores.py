"""Score results on disk and baselines, and summarise the scores."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from s3net_jax.baselines import BASELINES, REGION_BASELINES, Prediction
from s3net_jax.criteria import REGIONS, TARGET, Criteria, get_criteria
from s3net_jax.csv_text import format_csv, parse_csv
from s3net_jax.errors import ConfigError
from s3net_jax.evaluate.datasets import Pair
from s3net_jax.evaluate.geometry import Grid
from s3net_jax.evaluate.metrics import measure
from s3net_jax.evaluate.protocols import select_scored_masks
from s3net_jax.evaluate.regions import measure_annotators, measure_regions, split_components
from s3net_jax.evaluate.statistics import compare, estimate_mean
from s3net_jax.evaluate.surfaces import measure_surfaces, read_spacing
from s3net_jax.evaluate.truth import read_grid, read_segmentations, read_truth
from s3net_jax.io import read, read_regular, write_bytes
from s3net_jax.parallel import map_in_threads
from s3net_jax.run import read_array, read_result

__all__ = [
    "STANDARD_BASELINES",
    "Score",
    "read_array",
    "read_scores",
    "score_baselines",
    "score_results",
    "summarise",
    "write_scores",
]

_DIGITS = 4
_AGREEMENT = "one person against the others"

STANDARD_BASELINES: dict[Criteria, Mapping[str, Callable[[np.ndarray], Prediction]]] = {
    TARGET: BASELINES,
    REGIONS: REGION_BASELINES,
}
"""Criteria → baselines that appear in every table."""


@dataclass(frozen=True)
class Score:
    """Scores of one image under one protocol.

    Attributes:
      method: name of the method.
      image: name of the image's results.
      protocol: name of a protocol of the data set's criteria.
      metrics: metric → value, in percent (``hd95`` in pixels, ``vi`` in bits, ``..._mm`` in mm);
        those of surfaces only for volumes whose voxel size is known.
      seconds: time the segmentation took, and an equal share of a training on all images.
    """

    method: str
    image: str
    protocol: str
    metrics: dict[str, float]
    seconds: float


def score_results(
    method: str,
    pairs: Iterable[Pair],
    records: Mapping[str, Mapping[str, Any]],
    folder: Path,
    tick: Callable[[], None] = lambda: None,
) -> list[Score]:
    """Score the results of a run, using all cores.

    Args:
      method: name of the method in the table.
      pairs: images and ground truths.
      records: image path → line of ``results.jsonl``; images without a line are skipped.
      folder: output folder of the run.
      tick: function called after each image, from several threads.

    Raises:
      InputError: a result is unreadable or has another size than its image; see also
        :func:`read_truth`.
    """
    found = [(pair, records[str(pair.image)]) for pair in pairs if str(pair.image) in records]
    found = [(pair, record) for pair, record in found if "error" not in record]

    def score(item: tuple[Pair, Mapping[str, Any]]) -> list[Score]:
        pair, record = item
        outputs, seconds = record["outputs"], record["seconds"]
        if pair.criteria is REGIONS:
            people = read_segmentations(pair.truth, read_grid(pair))
            labels = read_result(folder / outputs["labels"], people[0].shape)
            scores = _score_labels(method, pair.stem, labels, people, seconds)
            tick()
            return scores
        truth = read_truth(pair.truth, read_grid(pair))
        labels, mask = (
            read_result(folder / outputs[kind], truth.shape) for kind in ("labels", "mask")
        )
        spacing = read_spacing(pair)
        if pair.kind == "stack":  # protocols expect slices on the last axis
            labels, mask, truth = (np.moveaxis(a, 0, -1) for a in (labels, mask, truth))
            spacing = None if spacing is None else (*spacing[1:], spacing[0])
        scores = _score_masks(method, pair.stem, labels, mask > 0, truth, seconds, spacing)
        tick()
        return scores

    # Threads suffice: nearly all time is spent in SciPy's erosions and distance transforms, which
    # release the GIL.
    pixels = max((_count_pixels(record) for _, record in found), default=0)
    return [score for scores in map_in_threads(score, found, pixels) for score in scores]


def _count_pixels(record: Mapping[str, Any]) -> int:
    return math.prod(record.get(side, 1) for side in ("width", "height", "depth"))


def score_baselines(
    pairs: Iterable[Pair],
    baselines: Mapping[str, Callable[[np.ndarray], Prediction]] | None = None,
    window: tuple[float, float] | None = None,
    tick: Callable[[], None] = lambda: None,
) -> list[Score]:
    """Score every baseline, using all cores; volumes and stacks are skipped.

    Where several people segmented an image, their agreement is scored as well, as a bound.

    Args:
      pairs: images and ground truths.
      baselines: name in the table → function from an image, (H, W, 3) uint8, to its clusters and
        mask; None uses :data:`STANDARD_BASELINES`.
      window: values mapped to black and white; see :func:`read`.
      tick: function called after each image, from several threads.

    Raises:
      InputError: an image is unreadable; see also :func:`read_truth`.
    """
    images = [pair for pair in pairs if pair.kind == "image"]

    def score(pair: Pair) -> list[Score]:
        image = read(pair.image, window).rgb8()
        grid = Grid(image.shape[:2])
        is_target = pair.criteria is TARGET
        truth = read_truth(pair.truth, grid) if is_target else None
        people = () if is_target else read_segmentations(pair.truth, grid)
        scores = []
        chosen = STANDARD_BASELINES[pair.criteria] if baselines is None else baselines
        for name, predict in chosen.items():
            # This is the time on one core while other cores score other images.
            start = time.perf_counter()
            labels, mask = predict(image)
            seconds = time.perf_counter() - start
            scores += (
                _score_labels(name, pair.stem, labels, people, seconds)
                if truth is None
                else _score_masks(name, pair.stem, labels, mask, truth, seconds)
            )
        if len(people) > 1:
            scores += _make_scores(_AGREEMENT, pair.stem, measure_annotators(people), 0.0)
        tick()
        return scores

    grids = map(read_grid, images)
    pixels = max((math.prod(grid.shape) for grid in grids if grid is not None), default=0)
    return [score for scores in map_in_threads(score, images, pixels) for score in scores]


def _score_masks(
    method: str,
    image: str,
    labels: np.ndarray,
    mask: np.ndarray,
    truth: np.ndarray,
    seconds: float,
    spacing: Sequence[float] | None = None,
) -> list[Score]:
    selected = select_scored_masks(labels, mask, truth)
    found = {protocol: measure(*masks) for protocol, masks in selected.items()}
    if spacing is not None:
        for protocol, (chosen, wanted) in selected.items():
            # A protocol may score at another size.
            scaled = np.array(spacing) * truth.shape / wanted.shape
            found[protocol] |= measure_surfaces(chosen, wanted, scaled.tolist())
    return _make_scores(method, image, found, seconds)


def _score_labels(
    method: str, image: str, labels: np.ndarray, people: Sequence[np.ndarray], seconds: float
) -> list[Score]:
    found = {
        "components": measure_regions(split_components(labels), people),
        "clusters": measure_regions(labels, people),
    }
    return _make_scores(method, image, found, seconds)


def _summarise_protocol(scores: Sequence[Score], criteria: Criteria) -> dict[str, Any]:
    """Compute the mean of each metric over the images that have it."""
    found = [score.metrics for score in scores]
    return {
        name: vars(estimate_mean(np.array([one[name] for one in found if name in one])))
        for name in criteria.list_metrics(found)
    }


def _make_scores(
    method: str, image: str, found: Mapping[str, Mapping[str, float]], seconds: float
) -> list[Score]:
    """Make a score for each protocol, rounded like the table, so that scores read from a file equal
    computed ones exactly."""
    rounded = {
        protocol: {name: round(value, _DIGITS) for name, value in metrics.items()}
        for protocol, metrics in found.items()
    }
    return [Score(method, image, name, metrics, seconds) for name, metrics in rounded.items()]


def write_scores(path: Path, scores: Sequence[Score]) -> None:
    """Write ``metrics.csv``, with a row for each method, image and protocol."""
    metrics = _find_criteria(scores).list_metrics(s.metrics for s in scores)
    rows = (
        [
            *(s.method, s.image, s.protocol),
            *(f"{s.metrics[m]:.{_DIGITS}f}" if m in s.metrics else "" for m in metrics),
            f"{s.seconds:.4f}",
        ]
        for s in scores
    )
    write_bytes(path, format_csv(("method", "image", "protocol", *metrics, "seconds"), rows))


def _find_criteria(scores: Sequence[Score]) -> Criteria:
    return get_criteria({score.protocol for score in scores}) if scores else TARGET


def read_scores(path: Path) -> list[Score]:
    """Read a file that :func:`write_scores` wrote.

    Raises:
      ConfigError: the file is missing, unreadable or not a valid table of scores.
    """
    try:
        return [_parse_score(row) for row in parse_csv(read_regular(path, follow=True))]
    except (OSError, KeyError, ValueError, TypeError):
        raise ConfigError(f"{path} is not a table of scores from s3net evaluate.") from None


def _parse_score(row: dict[str, str]) -> Score:
    method, image, protocol = (row[name] for name in ("method", "image", "protocol"))
    criteria = get_criteria([protocol])
    metrics = {metric: float(row[metric]) for metric in criteria.metrics}
    metrics |= {name: float(row[name]) for name in criteria.surfaces if row.get(name)}
    seconds = float(row["seconds"])
    if None in (method, image):
        raise ValueError("a row has no method or image")
    if not all(map(math.isfinite, (*metrics.values(), seconds))):
        raise ValueError("a score is not finite")
    return Score(method, image, protocol, metrics, seconds)


def summarise(scores: list[Score], reference: str) -> dict[str, Any]:
    """Compute means with 95 % intervals, and paired comparisons with a reference.

    Methods are compared by the main figure of the criteria: the blind DSC, or the covering.

    Args:
      scores: scores of all methods.
      reference: method that all other methods are compared with.

    Returns:
      A dict with ``methods`` (method → number of images, median seconds, and protocol → metric →
      mean, low, high, count), ``reference``, and ``comparisons`` (method → mean, low, high and
      count of the figure of ``reference`` minus that of the method, and the p value).
    """
    criteria = _find_criteria(scores)
    methods = list(dict.fromkeys(s.method for s in scores))
    table: dict[str, Any] = {}
    main: dict[str, dict[str, float]] = {}
    for method in methods:
        own = [s for s in scores if s.method == method]
        main[method] = {
            s.image: s.metrics[criteria.metric] for s in own if s.protocol == criteria.protocol
        }
        table[method] = {
            "images": len(main[method]),
            "seconds": float(np.median([s.seconds for s in own])),
            "protocols": {
                protocol: _summarise_protocol([s for s in own if s.protocol == protocol], criteria)
                for protocol in criteria.protocols
            },
        }
    comparisons = {}
    for method in methods:
        shared = sorted(main[method].keys() & main.get(reference, {}).keys())
        if method == reference or not shared:
            continue
        found = compare(
            np.array([main[reference][image] for image in shared]),
            np.array([main[method][image] for image in shared]),
        )
        comparisons[method] = {**vars(found.difference), "p_value": found.p_value}
    return {"methods": table, "reference": reference, "comparisons": comparisons}
