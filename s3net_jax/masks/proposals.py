"""The best target among the clusters of many label maps: every step of several fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image as PilImage

from s3net_jax.config import SegmentConfig
from s3net_jax.io.colors import LUMA
from s3net_jax.masks.auto import Splits, candidates
from s3net_jax.masks.cleanup import clean
from s3net_jax.masks.shapes import central_parts, every
from s3net_jax.masks.vignette import vignette

__all__ = ["Proposal", "best_proposal"]

_SIDE = 128  # label maps are looked at with no more pixels a side
_SMALLEST = 0.002  # of the image: smaller groups of clusters are no target
_CENTRAL = 0.3  # of the weight of the main part: lighter ones are no part of the target


@dataclass(frozen=True, eq=False)
class Proposal:
    """A target, roughly.

    Attributes:
      index: the label map that it comes from.
      score: of :meth:`s3net_jax.masks.auto.Splits.score`, in [0, 1].
      mask: (h, w) bool.
      ignored: (h, w) bool, what belongs to its clusters but lies at the image's border.
    """

    index: int
    score: float
    mask: np.ndarray
    ignored: np.ndarray


def best_proposal(
    label_maps: Sequence[np.ndarray], image: np.ndarray, config: SegmentConfig
) -> Proposal | None:
    """The group of clusters (:func:`s3net_jax.masks.auto.candidates`) that splits the image best.

    A fit merges clusters as it goes, and the step at which the target stands alone differs from
    image to image and from seed to seed; the image itself tells which split explains it best.

    Args:
      label_maps: (h, w) integers each, of one shape, whatever their numbering.
      image: (H, W, 3) uint8.
      config: the clean-up.

    Returns:
      None if no label map has two clusters of some size.
    """
    step = -(-max(label_maps[0].shape) // _SIDE)
    first = every(label_maps[0], step)
    size = (first.shape[1], first.shape[0])
    small = np.asarray(PilImage.fromarray(image).resize(size, PilImage.Resampling.BOX))
    outside, pixels = vignette(small), small.astype(np.float32) / 255
    luminance, splits = pixels @ LUMA, Splits(pixels)
    best: Proposal | None = None
    seen: set[bytes] = set()
    for index, labels in enumerate(label_maps):
        labels = every(labels, step)
        values, places = np.unique(labels, return_inverse=True)
        for chosen in candidates(labels, luminance, outside):
            raw = np.isin(values, chosen)[places] & ~outside
            if raw.mean() < _SMALLEST:
                continue
            bits = np.packbits(raw).tobytes()
            if bits in seen:
                continue
            seen.add(bits)
            mask = clean(raw, config)
            value = splits.score(mask, (raw & ~mask) | outside)
            if best is None or value > best.score:
                best = Proposal(index, value, mask, raw & ~mask)
    if best is None:
        return None
    return Proposal(best.index, best.score, central_parts(best.mask, _CENTRAL), best.ignored)
