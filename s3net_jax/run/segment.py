"""Images in memory: grouped by shape, fitted in batches, segmented."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from s3net_jax.config import Config
from s3net_jax.io import Image, compute_prepared_shape, read_resolution
from s3net_jax.masks import check_point
from s3net_jax.run.bar import ProgressView, open_listener
from s3net_jax.run.cases import ImageCase, image_case
from s3net_jax.run.confidence import assess_result
from s3net_jax.run.fitter import Fitter, Progress
from s3net_jax.run.members import combine_clusters
from s3net_jax.run.network import Network, is_trained_on_folder
from s3net_jax.run.outcome import Kept, Outcome, Piece, check_fitted
from s3net_jax.run.segmentation import Segmentation
from s3net_jax.run.training import train_on_pieces

__all__ = ["segment_images"]


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
    progress: Progress | ProgressView | bool | None = False,
    keep: Collection[Kept] = (),
    network: Network | None = None,
) -> list[list[Segmentation]]:
    """Segment each image with each seed; see :func:`s3net_jax.segment_batch`.

    Args:
      images: images to segment.
      config: configuration.
      seeds: seeds of the fits, or of the trainings of a method that trains on a folder.
      progress: listener, view, or whether to show a bar.
      network: trained network to apply to every image; None fits or trains.
    """
    cases = [image_case(image, config) for image in images]
    for case, image in zip(cases, images, strict=True):
        check_point(config.segment.target, case.pixels, image.name)
        case.resolution = None if image.path is None else read_resolution(image.path)
    outcomes: dict[_Place, Outcome] = {}
    networks: Mapping[int, Network] = {}
    if network is not None:
        networks = dict.fromkeys(seeds, network)
    elif is_trained_on_folder(config) and cases:
        pieces = (case.piece(index) for case in cases for index in range(len(case)))
        networks = train_on_pieces(pieces, config, seeds, progress)
    groups = _group_pieces(cases, config, seeds, networks)
    fits = 0 if networks else sum(map(len, groups)) * config.fit.members
    fitter = Fitter(config, single_program=callable(progress), keep=keep)
    with open_listener(progress, fits, config.fit.steps) as listener:
        for group in groups:
            outcomes |= zip(group, fitter.fit([*group.values()], listener), strict=True)
    several = len(images) * len(seeds) > 1

    def segment(number: int) -> list[Segmentation]:
        case, image = cases[number], images[number]
        shown = image.rgb8()  # once for all seeds
        results = []
        for which, seed in enumerate(seeds):
            own = [outcomes.get(_Place(number, which, piece)) for piece in range(len(case))]
            where = f"images[{number}] with seed {seed}" if several else None
            results.append(_join_outcomes(case, image, config, shown, own, where))
        return results

    return [segment(number) for number in range(len(images))]


def _group_pieces(
    cases: Sequence[ImageCase],
    config: Config,
    seeds: Sequence[int],
    networks: Mapping[int, Network],
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
                network = networks.get(seed)
                group[_Place(number, which, index)] = Piece(image, seed, network=network)
    return [*groups.values()]


def _join_outcomes(
    case: ImageCase,
    image: Image,
    config: Config,
    shown: np.ndarray,
    outcomes: list[Outcome | None],
    where: str | None,
) -> Segmentation:
    """Join the outcomes of an image's pieces.

    Args:
      case: pieces of the image.
      image: the image.
      config: configuration of the fits.
      shown: (H, W, 3) uint8, the image to show.
      outcomes: outcome of each piece; None for a piece of one single colour.
      where: which of several images this is, for errors.

    Raises:
      DivergedError: a fit diverged, and did so again with a lower learning rate.
      RuntimeError: a fit failed otherwise.
    """
    fits = [None if outcome is None else check_fitted(outcome, where) for outcome in outcomes]
    start = time.perf_counter()
    whole = case.join(
        [None if fit is None else fit.labels for fit in fits],
        [None if fit is None else fit.target for fit in fits],
    )
    done = [fit for fit in fits if fit is not None]
    clusters = case.join_labels([combine_clusters([] if f is None else [f]) for f in fits])
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
        notes=(*case.notes, *notes, *whole.notes(image.name)),
        image=shown,
        path=image.path,
        resolution=case.resolution,
        member=middle.member,
        logits=middle.logits,
        params=middle.params,
        confidence=assess_result(case, whole, done, config),
        clusters=None if np.array_equal(clusters, whole.labels) else clusters,
        config=config.segment,
    )
