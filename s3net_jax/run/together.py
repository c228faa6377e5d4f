"""Many images in memory: put together by shape, fitted as batches, segmented."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from s3net_jax.config import Config
from s3net_jax.errors import DivergedError
from s3net_jax.io import Image, prepared_shape
from s3net_jax.masks import check_target
from s3net_jax.run.cases import ImageCase, image_case
from s3net_jax.run.fitter import Fitter
from s3net_jax.run.outcome import Failed, Fitted, Outcome, Piece
from s3net_jax.run.single import Progress, Segmentation

__all__ = ["segment_together"]

_Place = tuple[int, int, int]
"""(image, seed, piece), each by its number."""


def segment_together(
    images: Sequence[Image],
    config: Config,
    seeds: Sequence[int],
    progress: Progress | None = None,
) -> list[list[Segmentation]]:
    """See :func:`s3net_jax.segment_batch`."""
    check_target(config.segment.target)
    cases = [image_case(image, config) for image in images]
    groups: dict[tuple[int, int], dict[_Place, Piece]] = defaultdict(dict)
    for n, case in enumerate(cases):
        for index in range(len(case)):
            image = case.piece(index)
            if image is None:
                continue
            group = groups[prepared_shape(image.shape, config.input)]
            for which, seed in enumerate(seeds):
                group[n, which, index] = Piece(image, seed)
    fitter = Fitter(config)
    found: dict[_Place, Outcome] = {}
    for group in groups.values():
        found |= zip(group, fitter([*group.values()], progress), strict=True)
    return [
        [
            _segmentation(
                case, images[n].name, [found.get((n, which, index)) for index in range(len(case))]
            )
            for which in range(len(seeds))
        ]
        for n, case in enumerate(cases)
    ]


def _segmentation(case: ImageCase, name: str, outcomes: list[Outcome | None]) -> Segmentation:
    """The pieces' outcomes as one result; None of a piece that shows one single colour."""
    for outcome in outcomes:
        if isinstance(outcome, Failed):
            kind = DivergedError if outcome.diverged else RuntimeError
            raise kind(f"{name}: {outcome.reason}")
    fits = [outcome if isinstance(outcome, Fitted) else None for outcome in outcomes]
    whole = case.join(
        [None if fit is None else fit.labels for fit in fits],
        [None if fit is None else fit.target for fit in fits],
    )
    done = [fit for fit in fits if fit is not None]
    middle = done[len(done) // 2]
    notes = dict.fromkeys(note for fit in done for note in fit.notes)
    return Segmentation(
        whole.labels,
        whole.mask,
        whole.target,
        middle.history,
        middle.steps,
        middle.label_maps,
        sum(fit.seconds for fit in done),
        (*case.notes, *notes, *whole.notes(name)),
    )
