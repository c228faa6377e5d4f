"""Many images in memory: put together by shape, fitted as batches, segmented."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from s3net_jax.config import Config
from s3net_jax.io import Image, prepared_shape
from s3net_jax.masks import Segments, check_target, segments_of
from s3net_jax.run.outcome import Failed, Outcome, Piece
from s3net_jax.run.single import DivergedError, Progress, Segmentation
from s3net_jax.run.work import Fitter

__all__ = ["segment_together"]


def segment_together(
    images: Sequence[Image],
    config: Config,
    seeds: Sequence[int],
    progress: Progress | None = None,
) -> list[list[Segmentation]]:
    """See :func:`s3net_jax.segment_batch`."""
    if len(seeds) == 0:
        raise ValueError("segment_batch needs at least one seed.")
    check_target(config.segment.target)
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, image in enumerate(images):
        groups[prepared_shape(image.shape, config.input)].append(index)
    results: list[list[Segmentation]] = [[] for _ in images]
    fitter = Fitter(config)
    for members in groups.values():
        outcomes = iter(
            fitter([Piece(images[n], seed) for n in members for seed in seeds], progress)
        )
        for n in members:
            results[n] = [_segmentation(next(outcomes), images[n], config) for _ in seeds]
    return results


def _segmentation(outcome: Outcome, image: Image, config: Config) -> Segmentation:
    if isinstance(outcome, Failed):
        kind = DivergedError if outcome.diverged else RuntimeError
        raise kind(f"{image.name}: {outcome.reason}")
    if outcome.target is None:
        found = segments_of(outcome.labels, image, config.segment)
    else:
        mask = np.isin(outcome.labels, outcome.target)
        found = Segments(outcome.labels, mask, outcome.target)
    return Segmentation(
        found.labels,
        found.mask,
        found.target,
        outcome.history,
        outcome.steps,
        outcome.label_maps,
        outcome.seconds,
        outcome.notes,
    )
