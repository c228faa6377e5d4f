"""The pictures that an evaluation's page shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from s3net_jax.evaluate.datasets import Pair
from s3net_jax.evaluate.run import Evaluation
from s3net_jax.evaluate.scores import read_array, read_truth
from s3net_jax.io import read, write_bytes
from s3net_jax.report.gallery import Picture
from s3net_jax.report.page import page

__all__ = ["write_report"]


def write_report(found: Evaluation, pairs: list[Pair], title: str) -> Path:
    """``report.html`` in the evaluation's folder; returns its path. Volumes have no pictures."""
    mine = [score for score in found.scores if score.method == found.method]
    dsc: dict[str, dict[str, float]] = {}
    for score in mine:
        dsc.setdefault(score.image, {})[score.protocol] = score.metrics["dsc"]
    pictures = [
        _picture(found, pair, dsc[pair.stem])
        for pair in pairs
        if pair.stem in dsc and ".nii" not in pair.image.name.lower()
    ]
    blind: dict[str, list[float]] = {}
    for score in found.scores:
        if score.protocol == "blind":
            blind.setdefault(score.method, []).append(score.metrics["dsc"])
    path = found.folder / "report.html"
    write_bytes(path, page(title, found.summary, blind, pictures).encode())
    return path


def _picture(found: Evaluation, pair: Pair, scores: dict[str, float]) -> Picture:
    record = found.records[str(pair.image)]
    path = found.folder / "predictions" / record["outputs"]["mask"]

    def truth() -> np.ndarray:
        return read_truth(pair.truth, (record["height"], record["width"]))

    return Picture(
        pair.stem,
        lambda: read(pair.image).rgb8(),
        lambda: read_array(path) > 0,
        truth,
        scores,
    )
