"""Estimate how good the masks of a run are, from what its fits already have."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from s3net_jax.baselines import BASELINES
from s3net_jax.config import Config
from s3net_jax.masks import Confidence, Ranking, Segments, assess_proposals, average_confidence
from s3net_jax.run.cases import Case
from s3net_jax.run.outcome import Fitted

__all__ = ["assess_members", "assess_result"]

OPINIONS = ("classical recipe", "Otsu, dark, inner")
"""Baselines whose masks are compared with the result. The first suits skin and keeps one of two
lungs; the second keeps both lungs and takes shadows for lesions. k-means on colours adds nothing:
with it, the measure finds fewer bad masks."""


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
      The confidence, or None unless outlines are drawn as in the preset ``best``, for which the
      constants were chosen.
    """
    if config.segment.boundary != "local":
        return None
    if ranking is None or not mask.any():
        return Confidence.of_empty_mask()
    opinions = [BASELINES[name](ranking.image).mask for name in OPINIONS]
    return assess_proposals(ranking, mask, members, opinions, config.segment)


def assess_result(
    case: Case, whole: Segments, fits: Sequence[Fitted], config: Config
) -> Confidence | None:
    """Estimate how good the mask of one input is.

    Args:
      case: opened input.
      whole: its joint result.
      fits: fits of all pieces and seeds.
      config: configuration of the fits.

    Returns:
      The mean over the seeds; or None for volumes and tiled images, and if a fit has no confidence.
      An empty mask of a picture always has one.
    """
    if case.volume is not None or len(case) > 1:
        return None
    if not whole.mask.any():
        return Confidence.of_empty_mask()
    found = [fit.confidence for fit in fits]
    known = [one for one in found if one is not None]
    return average_confidence(known) if known and len(known) == len(found) else None
