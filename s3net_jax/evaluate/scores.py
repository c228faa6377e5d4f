"""Score results on disk and baselines, and summarise the scores."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from s3net_jax.baselines import BASELINES, Prediction
from s3net_jax.csv_text import format_csv, parse_csv
from s3net_jax.errors import ConfigError
from s3net_jax.evaluate.datasets import Pair
from s3net_jax.evaluate.geometry import Grid
from s3net_jax.evaluate.metrics import METRICS, measure
from s3net_jax.evaluate.protocols import PROTOCOLS, select_scored_masks
from s3net_jax.evaluate.statistics import compare, estimate_mean
from s3net_jax.evaluate.truth import read_grid, read_truth
from s3net_jax.io import read, read_regular, write_bytes
from s3net_jax.parallel import map_in_threads
from s3net_jax.run import read_array, read_result

__all__ = [
    "Score",
    "read_array",
    "read_scores",
    "score_baselines",
    "score_results",
    "summarise",
    "write_scores",
]

_DIGITS = 4
_FIELDS = ("method", "image", "protocol", *METRICS, "seconds")


@dataclass(frozen=True)
class Score:
    """Scores of one image under one protocol.

    Attributes:
      method: name of the method.
      image: name of the image's results.
      protocol: name in :data:`PROTOCOLS`.
      metrics: metric → value, in percent (``hd95`` in pixels).
      seconds: time the segmentation took.
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
        truth = read_truth(pair.truth, read_grid(pair))
        labels, mask = (
            read_result(folder / record["outputs"][kind], truth.shape)
            for kind in ("labels", "mask")
        )
        if pair.kind == "stack":  # protocols expect slices on the last axis
            labels, mask, truth = (np.moveaxis(a, 0, -1) for a in (labels, mask, truth))
        scores = _score_masks(method, pair.stem, labels, mask > 0, truth, record["seconds"])
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
    baselines: Mapping[str, Callable[[np.ndarray], Prediction]] = BASELINES,
    window: tuple[float, float] | None = None,
    tick: Callable[[], None] = lambda: None,
) -> list[Score]:
    """Score every baseline, using all cores; volumes and stacks are skipped.

    Args:
      pairs: images and ground truths.
      baselines: name in the table → function from an image, (H, W, 3) uint8, to its clusters and
        mask.
      window: values mapped to black and white; see :func:`read`.
      tick: function called after each image, from several threads.

    Raises:
      InputError: an image is unreadable; see also :func:`read_truth`.
    """
    images = [pair for pair in pairs if pair.kind == "image"]

    def score(pair: Pair) -> list[Score]:
        image = read(pair.image, window).rgb8()
        truth = read_truth(pair.truth, Grid(image.shape[:2]))
        scores = []
        for name, predict in baselines.items():
            # This is the time on one core while other cores score other images.
            start = time.perf_counter()
            labels, mask = predict(image)
            seconds = time.perf_counter() - start
            scores += _score_masks(name, pair.stem, labels, mask, truth, seconds)
        tick()
        return scores

    grids = map(read_grid, images)
    pixels = max((math.prod(grid.shape) for grid in grids if grid is not None), default=0)
    return [score for scores in map_in_threads(score, images, pixels) for score in scores]


def _score_masks(
    method: str, image: str, labels: np.ndarray, mask: np.ndarray, truth: np.ndarray, seconds: float
) -> list[Score]:
    scores = []
    for protocol, (found, wanted) in select_scored_masks(labels, mask, truth).items():
        # Round like the table, so that scores read from a file equal computed ones exactly.
        metrics = {name: round(v, _DIGITS) for name, v in measure(found, wanted).items()}
        scores.append(Score(method, image, protocol, metrics, seconds))
    return scores


def write_scores(path: Path, scores: Iterable[Score]) -> None:
    """Write ``metrics.csv``, with a row for each method, image and protocol."""
    rows = (
        [
            *(s.method, s.image, s.protocol),
            *(f"{s.metrics[m]:.{_DIGITS}f}" for m in METRICS),
            f"{s.seconds:.4f}",
        ]
        for s in scores
    )
    write_bytes(path, format_csv(_FIELDS, rows))


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
    metrics = {metric: float(row[metric]) for metric in METRICS}
    seconds = float(row["seconds"])
    if None in (method, image) or protocol not in PROTOCOLS:
        raise ValueError("a row has no method, image or valid protocol")
    if not all(map(math.isfinite, (*metrics.values(), seconds))):
        raise ValueError("a score is not finite")
    return Score(method, image, protocol, metrics, seconds)


def summarise(scores: list[Score], reference: str) -> dict[str, Any]:
    """Compute means with 95 % intervals, and paired comparisons of blind DSC with a reference.

    Args:
      scores: scores of all methods.
      reference: method that all other methods are compared with.

    Returns:
      A dict with ``methods`` (method → number of images, median seconds, and protocol → metric →
      mean, low, high, count), ``reference``, and ``comparisons`` (method → mean, low, high and
      count of the DSC of ``reference`` minus that of the method, and the p value).
    """
    methods = list(dict.fromkeys(s.method for s in scores))
    table: dict[str, Any] = {}
    blind: dict[str, dict[str, float]] = {}
    for method in methods:
        own = [s for s in scores if s.method == method]
        blind[method] = {s.image: s.metrics["dsc"] for s in own if s.protocol == "blind"}
        table[method] = {
            "images": len(blind[method]),
            "seconds": float(np.median([s.seconds for s in own])),
            "protocols": {
                protocol: {
                    metric: vars(
                        estimate_mean(
                            np.array([s.metrics[metric] for s in own if s.protocol == protocol])
                        )
                    )
                    for metric in METRICS
                }
                for protocol in PROTOCOLS
            },
        }
    comparisons = {}
    for method in methods:
        shared = sorted(blind[method].keys() & blind.get(reference, {}).keys())
        if method == reference or not shared:
            continue
        found = compare(
            np.array([blind[reference][image] for image in shared]),
            np.array([blind[method][image] for image in shared]),
        )
        comparisons[method] = {**vars(found.difference), "p_value": found.p_value}
    return {"methods": table, "reference": reference, "comparisons": comparisons}
