"""Choose a target by the traits of candidates: proposals of networks, and dark parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from s3net_jax.config import SegmentConfig
from s3net_jax.masks.background import propose_dark_parts
from s3net_jax.masks.proposals import (
    SMALLEST,
    Proposal,
    Ranking,
    rank_proposals,
    reduce_image,
)
from s3net_jax.masks.surround import resize_surround
from s3net_jax.masks.traits import TRAITS, measure_traits

__all__ = [
    "TRAIT_WEIGHTS",
    "Candidates",
    "find_candidates",
    "rank_by_traits",
    "rank_candidates",
    "score_traits",
]

_MOST = 160
"""Number of proposals of networks that become candidates, those that explain most variance.
It limits the time of the traits, and was not compared with other numbers."""

TRAIT_WEIGHTS = {
    "constant": -2.013,
    "size": 0.412,
    "contrast": 0.629,
    "darkness": 1.179,
    "edge": 1.283,
    "border": -1.221,
    "compactness": 2.588,
    "depth": 0.476,
    "remainder": -2.059,
    "agreement": 2.132,
    "distance": -1.253,
}
"""Weights of the traits in the logit of a candidate's score. ``python -m benchmarks.choice`` fits
them on half of the development images; a test compares them with the result file,
``docs/quality/choice.json``."""


def score_traits(traits: np.ndarray) -> np.ndarray:
    """Score candidates: 1 / (1 + exp(−(w₀ + Σ wₖ tₖ))).

    Args:
      traits: (N, 10) traits tₖ of :func:`s3net_jax.masks.traits.measure_traits`.

    Returns:
      (N,) float64 scores in [0, 1].
    """
    weights = np.array([TRAIT_WEIGHTS[name] for name in TRAITS])
    return 1 / (1 + np.exp(-(TRAIT_WEIGHTS["constant"] + traits @ weights)))


def rank_candidates(
    label_maps: Sequence[np.ndarray], image: np.ndarray, config: SegmentConfig
) -> Ranking | None:
    """Rank the candidates for a target as ``config.choice`` says.

    ``traits`` ranks by :func:`rank_by_traits`, anything else by :func:`rank_proposals`. Arguments
    and result are those of :func:`rank_proposals`.
    """
    rank = rank_by_traits if config.choice == "traits" else rank_proposals
    return rank(label_maps, image, config)


class Candidates(NamedTuple):
    """Candidates for the target of an image.

    Attributes:
      image: (h, w, 3) uint8 image at the size of the candidates.
      masks: (N, h, w) bool, all different; N is at least 1.
      sources: for each candidate, the label maps that contain it, in ascending order; none for a
        dark part that no network proposes.
      traits: (N, 10) float64, see :func:`.traits.measure_traits`.
    """

    image: np.ndarray
    masks: np.ndarray
    sources: tuple[tuple[int, ...], ...]
    traits: np.ndarray


def find_candidates(
    label_maps: Sequence[np.ndarray], image: np.ndarray, config: SegmentConfig
) -> Candidates | None:
    """Find the candidates for a target, and measure their traits.

    Candidates are the 160 best proposals of :func:`.proposals.rank_proposals` and the parts that
    are darker or redder than a smooth background (:func:`.background.propose_dark_parts`).

    Args:
      label_maps: (h, w) integer label maps of one shape, with any numbering.
      image: (H, W, 3) uint8 image.
      config: segmentation settings; ``choice`` and the clean-up fields are read.

    Returns:
      The candidates, or None if there are none.
    """
    small = reduce_image(image, label_maps[0].shape)
    used = ~resize_surround(image, small)
    proposals = rank_proposals(label_maps, image, config)
    dark, background = propose_dark_parts(small, used)
    found: dict[bytes, set[int]] = {}  # packed mask → label maps that contain it
    if proposals is not None:
        order = np.argsort(-proposals.scores, kind="stable")[:_MOST]
        for place in order:
            mask = proposals.unpack(place) & used
            found.setdefault(np.packbits(mask).tobytes(), set()).update(proposals.sources[place])
    for mask in dark:
        found.setdefault(np.packbits(mask).tobytes(), set())
    if not found:
        return None
    packed = np.array([np.frombuffer(bits, np.uint8) for bits in found])
    masks = np.unpackbits(packed, 1, count=used.size).view(bool).reshape(-1, *used.shape)
    kept = masks.mean((1, 2)) >= SMALLEST
    if not kept.any():
        return None
    masks = masks[kept]
    sources = [tuple(sorted(maps)) for maps, keep in zip(found.values(), kept, strict=True) if keep]
    # A dark part that no network proposes counts as if one label map had it.
    support = np.array([max(1, len(maps)) / len(label_maps) for maps in sources])
    traits = measure_traits(small, used, masks, support, background)
    return Candidates(small, masks, tuple(sources), traits)


def rank_by_traits(
    label_maps: Sequence[np.ndarray], image: np.ndarray, config: SegmentConfig
) -> Ranking | None:
    """Rank the candidates of :func:`find_candidates` by :func:`score_traits`.

    Args:
      label_maps: (h, w) integer label maps of one shape, with any numbering.
      image: (H, W, 3) uint8 image.
      config: segmentation settings; ``choice`` and the clean-up fields are read.

    Returns:
      All candidates with their scores, or None if there are none.
    """
    found = find_candidates(label_maps, image, config)
    if found is None:
        return None
    scores = score_traits(found.traits)
    place = int(scores.argmax())
    mask, sources = found.masks[place], found.sources[place]
    index = sources[0] if sources else 0
    best = Proposal(index, float(scores[place]), mask, np.zeros_like(mask))
    bits = np.packbits(found.masks.reshape(len(scores), -1), 1)
    return Ranking(best, place, scores, bits, found.sources, found.image)
