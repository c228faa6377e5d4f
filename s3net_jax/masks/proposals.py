"""Find the best target among the clusters of many label maps (every step of several fits)."""

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

# Half and double of the first two and of the last change less than 0.05 points, except that one
# slice is better with a side of 64. `_TOGETHER` affects only the speed.
_SIDE = 128  # longest side in pixels at which proposals are scored; the boundary is drawn later
_SMALLEST = 0.002  # smallest proposal, as a fraction of the image
_TOGETHER = 1 << 18  # pixels of proposals that are scored in one call, so that they stay in cache
_CENTRAL = 0.3  # smallest weight of a part that is kept, relative to the heaviest part


@dataclass(frozen=True, eq=False)
class Proposal:
    """The rough position of a target.

    Attributes:
      index: index of the label map that the proposal comes from.
      score: value of :meth:`s3net_jax.masks.auto.Splits.score`, in [0, 1].
      mask: (h, w) bool.
      ignored: (h, w) bool, pixels of the proposed clusters that the clean-up removed.
    """

    index: int
    score: float
    mask: np.ndarray
    ignored: np.ndarray


def find_best_proposal(
    label_maps: Sequence[np.ndarray], image: np.ndarray, config: SegmentConfig
) -> Proposal | None:
    """Find the group of clusters that splits the image best.

    Candidates are the groups of :func:`s3net_jax.masks.auto.list_groups` of every label map. A fit
    merges clusters during training, and the step at which the target is a cluster on its own
    differs between images and seeds; the score picks the split that best explains the image.

    Args:
      label_maps: (h, w) integer label maps of one shape, with any numbering.
      image: (H, W, 3) uint8 image.
      config: segmentation settings; the clean-up fields are read.

    Returns:
      The proposal with the highest score, or None if no label map has a large enough group.
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
        # One bit a pixel, since all proposals are kept at once; equal ones are found by hash.
        return [bits.tobytes() for bits in np.packbits(raw[large].reshape(-1, first.size), 1)]

    def choose_best(some: list[tuple[int, bytes]]) -> Proposal:
        bits = np.array([np.frombuffer(bits, np.uint8) for _, bits in some])
        raw = np.unpackbits(bits, 1, count=first.size).view(bool).reshape(-1, *first.shape)
        masks = clean(raw, config)
        left = raw & ~masks
        scores = splits.score(masks, left | outside)
        n = int(scores.argmax())
        return Proposal(some[n][0], float(scores[n]), masks[n].copy(), left[n].copy())

    indices: dict[bytes, int] = {}  # packed mask → index of the first label map that has it
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
