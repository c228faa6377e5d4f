"""Estimate how good a mask is whose target was chosen in a single label map."""

from __future__ import annotations

import numpy as np

from s3net_jax.config import SegmentConfig
from s3net_jax.masks.auto import Splits
from s3net_jax.masks.confidence.calibrations import Basis
from s3net_jax.masks.confidence.estimate import DIFFERENT, Confidence, Opinions, reduce_mask
from s3net_jax.masks.confidence.features import (
    compute_overlaps,
    measure_margin,
    measure_opinions,
)
from s3net_jax.masks.proposals import rank_proposals, reduce_image
from s3net_jax.masks.vignette import resize_vignette

__all__ = ["assess_mask"]


def assess_mask(
    image: np.ndarray,
    labels: np.ndarray,
    mask: np.ndarray,
    find_opinions: Opinions,
    config: SegmentConfig,
) -> Confidence:
    """Estimate how good a mask is whose target was chosen in a single label map.

    All measures are taken at 128 pixels a side or less. If the rule of the target is ``auto``, they
    include the opinions of other methods. With any other rule a person has chosen the target, which
    other methods need not look for.

    Args:
      image: (H, W, 3) uint8 image.
      labels: (H, W) integer label map, with or without the target as a separate cluster.
      mask: (H, W) bool mask of the result.
      find_opinions: function that returns what other methods find in the small image.
      config: segmentation settings; the target, clean-up and boundary fields are read.
    """
    is_chosen = config.target != "auto"
    basis: Basis = "choice" if is_chosen else "clusters"
    pixels = reduce_image(image, labels.shape)
    small = reduce_mask(mask, pixels.shape[:2])
    if not small.any():  # or too thin to be seen at the small size
        return Confidence.of_empty_mask(basis)
    outside = resize_vignette(image, pixels) & ~small
    splits = Splits(pixels.astype(np.float32) / 255)
    score = float(splits.score(small[None], outside[None])[0])
    evidence = {"score": score, "margin": 0.0}
    ranking = rank_proposals([labels], image, config)
    if ranking is not None:  # None if no group of clusters is large enough
        overlaps = compute_overlaps(ranking.masks, np.packbits(small.ravel()))
        evidence["margin"] = measure_margin(ranking.scores, overlaps, score, DIFFERENT)
    if not is_chosen:
        evidence["opinions"] = measure_opinions(small, find_opinions(pixels))
    return Confidence.from_evidence(evidence, basis)
