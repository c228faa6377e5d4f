"""The best target among the clusters of many label maps: every step of several fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image as PilImage

from s3net_jax.config import SegmentConfig
from s3net_jax.io import LUMA
from s3net_jax.masks.auto import Splits, list_groups
from s3net_jax.masks.cleanup import clean
from s3net_jax.masks.shapes import find_central_parts, subsample
from s3net_jax.masks.vignette import resize_vignette
from s3net_jax.parallel import map_in_threads

__all__ = ["Proposal", "find_best_proposal"]

_SIDE = 128  # label maps are looked at with no more pixels a side
_SMALLEST = 0.002  # of the image: smaller groups of clusters are no target
_TOGETHER = 1 << 18  # pixels of groups that are looked at together: they stay in the cache
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


def find_best_proposal(
    label_maps: Sequence[np.ndarray], image: np.ndarray, config: SegmentConfig
) -> Proposal | None:
    """The group of clusters (:func:`s3net_jax.masks.auto.list_groups`) that splits the image best.

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
    first = subsample(label_maps[0], step)
    size = (first.shape[1], first.shape[0])
    small = np.asarray(PilImage.fromarray(image).resize(size, PilImage.Resampling.BOX))
    outside, pixels = resize_vignette(image, small), small.astype(np.float32) / 255
    luminance, splits = pixels @ LUMA, Splits(pixels)

    def rank_groups(labels: np.ndarray) -> list[bytes]:
        labels = subsample(labels, step)
        values, places = np.unique(labels, return_inverse=True)
        chosen = [np.isin(values, group) for group in list_groups(labels, luminance, outside)]
        if not chosen:
            return []
        raw = np.array(chosen).take(places, 1) & ~outside
        large = raw.mean((1, 2)) >= _SMALLEST
        return [bits.tobytes() for bits in np.packbits(raw[large].reshape(-1, first.size), 1)]

    def choose_best(some: list[tuple[int, bytes]]) -> Proposal:
        bits = np.array([np.frombuffer(bits, np.uint8) for _, bits in some])
        raw = np.unpackbits(bits, 1, count=first.size).view(bool).reshape(-1, *first.shape)
        masks = clean(raw, config)
        left = raw & ~masks
        scores = splits.score(masks, left | outside)
        n = int(scores.argmax())
        return Proposal(some[n][0], float(scores[n]), masks[n].copy(), left[n].copy())

    indices: dict[bytes, int] = {}  # of the first label map with that group
    for index, found in enumerate(map_in_threads(rank_groups, label_maps, first.size)):
        for bits in found:
            indices.setdefault(bits, index)
    proposals = [(index, bits) for bits, index in indices.items()]
    count = _TOGETHER // first.size
    portions = [proposals[n : n + count] for n in range(0, len(proposals), count)]
    best = max(
        map_in_threads(choose_best, portions, first.size), key=lambda one: one.score, default=None
    )
    return best and replace(best, mask=find_central_parts(best.mask, _CENTRAL))
