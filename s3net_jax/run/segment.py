"""Images in memory: grouped by shape, fitted in batches, segmented."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from s3net_jax.config import Config
from s3net_jax.errors import DivergedError
from s3net_jax.io import Image, compute_prepared_shape
from s3net_jax.masks import Segments, check_point
from s3net_jax.run.cases import ImageCase, image_case
from s3net_jax.run.fitter import Fitter, Progress
from s3net_jax.run.outcome import Failed, Fitted, Outcome, Piece

__all__ = ["Segmentation", "segment_images"]


@dataclass(frozen=True, eq=False)
class Segmentation:
    """One image's result.

    Attributes:
      labels: (H, W) int32, 0..L−1 by decreasing area, at the image's own size.
      mask: (H, W) bool, the target.
      target: the labels that the target was made from.
      history: ``loss``, ``ce``, ``affine``, ``spatial``, ``labels``: (steps,) arrays; of an image
        in tiles (``config.input.tile``), as ``steps`` and ``label_maps``, those of the tile in the
        middle.
      steps: number of steps done.
      label_maps: (steps, h, w) pseudo labels of each step at the network's size, or None.
      seconds: time taken, compilation included; an equal share of a batch's.
      notes: sentences a user should know: what of the image was left out or changed in reading,
        a fit done once more, an empty mask.
    """

    labels: np.ndarray
    mask: np.ndarray
    target: tuple[int, ...]
    history: dict[str, np.ndarray]
    steps: int
    label_maps: np.ndarray | None
    seconds: float
    notes: tuple[str, ...] = ()

    @property
    def segments(self) -> Segments:
        """Only labels, mask and target."""
        return Segments(self.labels, self.mask, self.target)


@dataclass(frozen=True)
class _Place:
    """Where a piece belongs: image, seed and piece of the image, each by its number."""

    image: int
    seed: int
    piece: int


def segment_images(
    images: Sequence[Image],
    config: Config,
    seeds: Sequence[int],
    progress: Progress | None = None,
) -> list[list[Segmentation]]:
    """Segment each image with each seed; see :func:`s3net_jax.segment_batch`."""
    cases = [image_case(image, config) for image in images]
    for case, image in zip(cases, images, strict=True):
        check_point(config.segment.target, case.pixels, image.name)
    outcomes: dict[_Place, Outcome] = {}
    fitter = Fitter(config, single_program=True)
    for group in _group_pieces(cases, config, seeds):
        outcomes |= zip(group, fitter.fit([*group.values()], progress), strict=True)
    several = len(images) * len(seeds) > 1

    def segment(image: int, seed: int) -> Segmentation:
        case = cases[image]
        own = [outcomes.get(_Place(image, seed, piece)) for piece in range(len(case))]
        where = f"images[{image}] with seed {seeds[seed]}" if several else None
        return _join_outcomes(case, images[image].name, own, where)

    return [[segment(image, seed) for seed in range(len(seeds))] for image in range(len(images))]


def _group_pieces(
    cases: Sequence[ImageCase], config: Config, seeds: Sequence[int]
) -> list[dict[_Place, Piece]]:
    """Group pieces by the shape of the network's input; those of one colour can't be fitted."""
    groups: dict[tuple[int, int], dict[_Place, Piece]] = defaultdict(dict)
    for number, case in enumerate(cases):
        for index in range(len(case)):
            image = case.piece(index)
            if image is None:
                continue
            group = groups[compute_prepared_shape(image.shape, config.input)]
            for which, seed in enumerate(seeds):
                group[_Place(number, which, index)] = Piece(image, seed)
    return [*groups.values()]


def _join_outcomes(
    case: ImageCase, name: str, outcomes: list[Outcome | None], where: str | None
) -> Segmentation:
    """Join the outcomes of an image's pieces.

    Args:
      case: the image.
      name: name of the image, for notes.
      outcomes: outcome of each piece; None for a piece of one single colour.
      where: which of several images this is, for errors.

    Raises:
      DivergedError: a fit diverged, and did so again with a lower learning rate.
      RuntimeError: a fit failed otherwise.
    """
    for outcome in outcomes:
        if isinstance(outcome, Failed) and outcome.diverged:
            raise DivergedError(f"{where}: {outcome.reason}" if where else outcome.reason)
        if isinstance(outcome, Failed):
            raise RuntimeError(f"{where or 'The fit'} {outcome.reason}")
    start = time.perf_counter()
    fits = [outcome if isinstance(outcome, Fitted) else None for outcome in outcomes]
    whole = case.join(
        [None if fit is None else fit.labels for fit in fits],
        [None if fit is None else fit.target for fit in fits],
    )
    done = [fit for fit in fits if fit is not None]
    middle = done[len(done) // 2]
    notes = dict.fromkeys(note for fit in done for note in fit.notes)
    return Segmentation(
        labels=whole.labels,
        mask=whole.mask,
        target=whole.target,
        history=middle.history,
        steps=middle.steps,
        label_maps=middle.label_maps,
        seconds=sum(fit.seconds for fit in done) + time.perf_counter() - start,
        notes=(*case.notes, *notes, *whole.notes(name)),
    )
