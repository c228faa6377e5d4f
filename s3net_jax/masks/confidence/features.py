"""Measure, without ground truth, how much a mask can be trusted: one function for each measure.

Every measure is in [0, 1] and larger for masks that are more likely to be right. DSC(A, B) is
2 |A ∩ B| / (|A| + |B|), and 1 if both masks are empty.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from scipy import ndimage

from s3net_jax.masks.proposals import Ranking

__all__ = [
    "compute_dsc",
    "compute_overlaps",
    "measure_agreement",
    "measure_contrast",
    "measure_margin",
    "measure_members",
    "measure_opinions",
    "measure_stability",
]


def compute_dsc(first: np.ndarray, second: np.ndarray) -> float:
    """Compute the DSC of two bool masks of one shape, in [0, 1]."""
    total = np.count_nonzero(first) + np.count_nonzero(second)
    return 2 * np.count_nonzero(first & second) / total if total else 1.0


def compute_overlaps(masks: np.ndarray, one: np.ndarray) -> np.ndarray:
    """Compute the DSC of each of several packed masks with another.

    Args:
      masks: (N, B) uint8, one bit a pixel, as in :class:`Ranking`.
      one: (B,) uint8, a mask packed in the same way.

    Returns:
      (N,) float64 DSC in [0, 1].
    """
    shared = np.bitwise_count(masks & one).sum(1, dtype=np.int64)
    total = np.bitwise_count(masks).sum(1, dtype=np.int64) + int(np.bitwise_count(one).sum())
    return np.where(total > 0, 2 * shared / np.maximum(total, 1), 1.0)


def measure_agreement(
    scores: np.ndarray, overlaps: np.ndarray, score: float, scale: float
) -> float:
    """Measure how much the good proposals resemble the mask.

    Σ wₙ dₙ / Σ wₙ over all proposals with wₙ = exp((sₙ − s) / (``scale`` · s)), where sₙ and dₙ are
    the score of a proposal and its DSC with the mask. Near 1 if every proposal with a good score
    shows the same thing.

    Args:
      scores: (N,) scores sₙ.
      overlaps: (N,) DSC dₙ in [0, 1].
      score: score s of the mask; the result is 0 if it is 0 or negative.
      scale: decay of the weights.
    """
    if score <= 0:
        return 0.0
    weights = np.exp((scores - scores.max(initial=score)) / (scale * score))
    total = weights.sum()
    return float(weights @ overlaps / total) if total > 0 else 0.0


def measure_margin(
    scores: np.ndarray, overlaps: np.ndarray, score: float, different: float
) -> float:
    """Measure by how much the mask beats the best proposal that is different.

    1 − max sₙ / s over the proposals with dₙ < ``different``; 1 if there is none, and 0 if one of
    them has a higher score than the mask. The arguments are those of :func:`measure_agreement`.
    """
    if score <= 0:
        return 0.0
    return float(max(0.0, 1 - scores[overlaps < different].max(initial=0) / score))


def measure_members(ranking: Ranking, members: Sequence[Collection[int]]) -> float:
    """Measure how much the members of a fit agree.

    The mean DSC over all pairs of the best proposals of the members; 1 for a single member.

    Args:
      ranking: proposals of all members.
      members: label maps of each member, by their numbers.
    """
    places = [ranking.find_best_in(maps) for maps in members]
    masks = np.array([ranking.masks[place] for place in places if place is not None])
    if len(masks) < 2:
        return 1.0
    pairs = [compute_overlaps(masks[n + 1 :], masks[n]) for n in range(len(masks) - 1)]
    return float(np.concatenate(pairs).mean())


def measure_stability(masks: Sequence[np.ndarray]) -> float:
    """Measure how much a mask depends on the level of its outline.

    The DSC of the first and the last mask.

    Args:
      masks: (h, w) bool masks whose outlines were drawn at a lower and at a higher level
        (:func:`s3net_jax.masks.boundary.redraw_at_levels`).
    """
    return compute_dsc(masks[0], masks[-1])


def measure_contrast(image: np.ndarray, mask: np.ndarray) -> float:
    """Measure how well the colours separate a mask from a ring around it.

    The fraction of the variance of the colours within mask and ring that the split into both
    explains, between-class over total variance as in Otsu's method. The ring holds the pixels
    outside the mask that are nearest to it, up to as many as the mask has.

    Args:
      image: (h, w, 3) uint8 image.
      mask: (h, w) bool.

    Returns:
      The fraction in [0, 1]; 0 if the mask is empty or covers the image.
    """
    count = int(np.count_nonzero(mask))
    if count == 0 or count == mask.size:
        return 0.0
    away = np.asarray(ndimage.distance_transform_edt(~mask))
    # All pixels up to the distance of the count-th, so that a mirrored image has the same ring.
    far = np.sort(away[~mask])[min(count, mask.size - count) - 1]
    ring = (away > 0) & (away <= far)
    pixels = image.astype(np.float64)
    inside, outside = pixels[mask], pixels[ring]
    both = np.concatenate([inside, outside])
    total = both.var(0).sum()
    if total <= 0:
        return 0.0
    share = len(inside) / len(both)
    apart = ((inside.mean(0) - outside.mean(0)) ** 2).sum()
    return float(min(1, share * (1 - share) * apart / total))


def measure_opinions(mask: np.ndarray, opinions: Sequence[np.ndarray]) -> float:
    """Measure how much a mask agrees with the masks of other methods: the largest DSC.

    The largest counts because every simple method fails on some kinds of images: the classical
    recipe for skin keeps one of two lungs, and a threshold takes shadows for a lesion.

    Args:
      mask: (h, w) bool.
      opinions: (h, w) bool masks of other methods.
    """
    return max((compute_dsc(mask, opinion) for opinion in opinions), default=0.0)
