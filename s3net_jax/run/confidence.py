"""Estimate how good the masks of a run are, from what its fits already have."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from s3net_jax.baselines import BASELINES
from s3net_jax.config import Config
from s3net_jax.masks import (
    Confidence,
    Ranking,
    Segments,
    assess_mask,
    assess_proposals,
    average_confidence,
    find_basis,
    join_slices,
    spread,
)
from s3net_jax.parallel import map_in_threads
from s3net_jax.run.cases import Case, VolumeCase
from s3net_jax.run.outcome import Fitted

__all__ = ["OPINIONS", "assess_members", "assess_result", "find_opinions"]

OPINIONS = ("classical recipe", "Otsu, dark, inner")
"""Baselines whose masks are compared with the result. The first suits skin and keeps one of two
lungs; the second keeps both lungs and takes shadows for lesions. k-means on colours adds nothing:
with it, the measure finds fewer bad masks."""

_SLICES = 32
"""Largest number of slices of a volume that are assessed, spread over those with a mask. Neighbours
resemble each other, and a slice takes up to a tenth of a second."""


def find_opinions(image: np.ndarray) -> list[np.ndarray]:
    """Return the masks (h, w) bool that :data:`OPINIONS` find in an image (h, w, 3) uint8."""
    return [BASELINES[name](image).mask for name in OPINIONS]


def assess_members(
    ranking: Ranking | None, mask: np.ndarray, members: Sequence[int], config: Config
) -> Confidence | None:
    """Estimate how good a mask is that was chosen among proposals.

    Args:
      ranking: ranking of all proposals; None if there are none.
      mask: (H, W) bool mask of the result.
      members: for each label map of the ranking, the number of its member.
      config: configuration of the fits.

    Returns:
      The confidence, or None where the constants do not apply, so that :func:`assess_result` uses
      only the final label map: if there is only one, as of a trained network, and unless outlines
      are drawn as in the preset ``best``.
    """
    if config.segment.boundary != "local" or len(members) < 2:
        return None
    if ranking is None or not mask.any():
        return Confidence.of_empty_mask(find_basis(config.segment))
    return assess_proposals(ranking, mask, members, find_opinions, config.segment)


def assess_result(
    case: Case, whole: Segments, fits: Sequence[Fitted], config: Config
) -> Confidence:
    """Estimate how good the mask of one input is.

    Args:
      case: opened input.
      whole: its joint result.
      fits: fits of all pieces and seeds; none if the target was chosen or corrected afterwards.
      config: configuration with the rule by which the target was chosen.

    Returns:
      For a picture, the mean over the seeds if every fit has an estimate of its own, otherwise an
      estimate from the joint label map. For a volume, that of its slices.
    """
    if isinstance(case, VolumeCase):
        return _assess_volume(case, whole, config)
    found = [fit.confidence for fit in fits]
    known = [one for one in found if one is not None]
    is_own = len(case) == 1 and len(known) == len(found) > 0
    if is_own and whole.mask.any():
        return average_confidence(known)
    if is_own:
        return Confidence.of_empty_mask(known[0].basis)
    (panel,) = case.panels(whole)
    return assess_mask(panel.image, whole.labels, whole.mask, find_opinions, config.segment)


def _assess_volume(case: VolumeCase, whole: Segments, config: Config) -> Confidence:
    """Estimate how good the mask of a volume is, from at most :data:`_SLICES` slices."""
    areas = np.count_nonzero(whole.mask, (1, 2)).tolist()
    filled = [n for n, area in enumerate(areas) if area and case.piece(n) is not None]
    if not filled:
        return Confidence.of_empty_mask("slices")

    def assess(n: int) -> Confidence:
        image = case.piece(n)
        assert image is not None
        labels, mask = whole.labels[n], whole.mask[n]
        return assess_mask(image.rgb8(), labels, mask, find_opinions, config.segment)

    numbers = spread(filled, _SLICES)
    found = map_in_threads(assess, numbers, whole.mask[0].size)
    segmented = whole.mask[case.chosen.start : case.chosen.stop]
    return join_slices(found, [areas[n] for n in numbers], segmented)
