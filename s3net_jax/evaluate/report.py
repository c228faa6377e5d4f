"""Write the report of an evaluation, with the pictures it shows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from s3net_jax.config import Config
from s3net_jax.evaluate.datasets import Pair
from s3net_jax.evaluate.run import Evaluation
from s3net_jax.evaluate.truth import read_grid, read_truth
from s3net_jax.io import parse_window, read, read_film, write_text
from s3net_jax.report import Closeup, Picture, build_page
from s3net_jax.run import Source, VolumeCase, open_case, read_history, read_result

__all__ = ["write_report"]

_EXTREMES = 3  # number of best and of worst images shown in detail
_FIRST = "blind"  # protocol by which the images are sorted


def write_report(found: Evaluation, pairs: list[Pair], title: str) -> Path:
    """Write ``report.html`` into the evaluation's folder and return its path.

    A volume is represented by the slice with the largest area of ground truth. A page of 200 images
    is smaller than 10 MB.

    Args:
      found: evaluation to report.
      pairs: images and ground truths that were evaluated.
      title: title of the page.
    """
    dsc: dict[str, dict[str, float]] = {}
    blind: dict[str, list[float]] = {}
    for score in found.scores:
        value = score.metrics["dsc"]
        if score.method == found.method:
            dsc.setdefault(score.image, {})[score.protocol] = value
        if score.protocol == "blind":
            blind.setdefault(score.method, []).append(value)
    scored = [pair for pair in pairs if pair.stem in dsc]
    shown = [_make_closeup(found, pair, _put_first(dsc[pair.stem])) for pair in scored]
    ranked = sorted(shown, key=lambda one: -one.picture.scores[_FIRST])
    some = min(_EXTREMES, (len(ranked) + 1) // 2)
    best, worst = ranked[:some], ranked[some:][::-1][:_EXTREMES]
    pictures = [one.picture for one in shown]
    text = build_page(title, found.summary, blind, pictures, best, worst)
    path = found.folder / "report.html"
    write_text(path, text)
    return path


def _put_first(scores: dict[str, float]) -> dict[str, float]:
    return {_FIRST: scores[_FIRST], **scores}


@dataclass(frozen=True, eq=False)
class _Pixels:
    """Arrays shown for one input: image (H, W, 3); labels, mask and truth (H, W); agreement (H, W)
    over several seeds; and a remark that names the slice of a volume."""

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
        ),
        lambda: read_pixels().labels,
        read_agreement if "agreement" in names else None,
        (lambda: read_film(folder / names["steps"])) if "steps" in names else None,
        read_histories if "history" in names else None,
    )


def _read_picture(pair: Pair, maps: dict[str, Path], config: Config) -> _Pixels:
    truth = read_truth(pair.truth, read_grid(pair))
    labels, mask = (read_result(maps[kind], truth.shape) for kind in ("labels", "mask"))
    share = read_result(maps["agreement"], truth.shape) / 255 if "agreement" in maps else None
    image = read(pair.image, parse_window(config.input.window))
    return _Pixels(image.rgb8(), labels, mask > 0, truth, share, "")


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
