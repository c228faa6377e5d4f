"""Find the best target among the clusters of many label maps (every step of several fits)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image as PilImage

from s3net_jax.config import SegmentConfig
from s3net_jax.io import LUMA
from s3net_jax.masks.auto import Splits, list_groups
from s3net_jax.masks.cleanup import clean
from s3net_jax.masks.shapes import find_central_parts, subsample
from s3net_jax.masks.surround import choose_finder
from s3net_jax.masks.vignette import resize_outside
from s3net_jax.parallel import map_in_threads

__all__ = [
    "SMALLEST",
    "Proposal",
    "Ranking",
    "find_best_proposal",
    "rank_proposals",
    "reduce_image",
]

# Half and double of the first two and of the last change less than 0.05 points, except that one
# slice is better with a side of 64. `_TOGETHER` affects only the speed.
_SIDE = 128  # longest side in pixels at which proposals are scored; the boundary is drawn later
SMALLEST = 0.002  # smallest proposal, as a fraction of the image
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


@dataclass(frozen=True, eq=False)
class Ranking:
    """All different proposals of one image with their scores.

    Attributes:
      best: proposal with the highest score.
      place: its place among the N proposals.
      scores: (N,) float64, values of :meth:`s3net_jax.masks.auto.Splits.score`, in [0, 1].
      masks: (N, ⌈h·w / 8⌉) uint8, the cleaned masks in reading order, one bit a pixel.
      sources: for each proposal, the label maps that contain it, in ascending order.
      image: (h, w, 3) uint8 image at the size of the proposals.
    """

    best: Proposal
    place: int
    scores: np.ndarray
    masks: np.ndarray
    sources: tuple[tuple[int, ...], ...]
    image: np.ndarray

    def unpack(self, place: int) -> np.ndarray:
        """Return the mask of one proposal: (h, w) bool."""
        height, width = self.image.shape[:2]
        bits = np.unpackbits(self.masks[place], count=height * width)
        return bits.view(bool).reshape(height, width)

    def find_best_in(self, maps: Collection[int]) -> int | None:
        """Return the place of the best proposal from some label maps, or None if they have none."""
        wanted = set(maps)
        places = [n for n, found in enumerate(self.sources) if not wanted.isdisjoint(found)]
        return max(places, key=lambda n: self.scores[n], default=None)


def find_best_proposal(
    label_maps: Sequence[np.ndarray], image: np.ndarray, config: SegmentConfig
) -> Proposal | None:
    """Find the group of clusters that splits the image best; see :func:`rank_proposals`.

    Returns:
      The proposal with the highest score, or None if no label map has a large enough group.
    """
    ranking = rank_proposals(label_maps, image, config)
    return None if ranking is None else ranking.best


def reduce_image(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Reduce an image (H, W, 3) uint8 to the size at which :func:`rank_proposals` scores proposals.

    Args:
      image: image of any size.
      shape: size of the label maps.

    Returns:
      (h, w, 3) uint8 image of at most 128 pixels a side.
    """
    step = -(-max(shape) // _SIDE)
    height, width = subsample(np.empty(shape, bool), step).shape
    picture = PilImage.fromarray(image)
    return np.asarray(picture.resize((width, height), PilImage.Resampling.BOX))


def rank_proposals(
    label_maps: Sequence[np.ndarray], image: np.ndarray, config: SegmentConfig
) -> Ranking | None:
    """Score how well the groups of clusters of several label maps split the image.

    Candidates are the groups of :func:`s3net_jax.masks.auto.list_groups` of every label map. A fit
    merges clusters during training, and the step at which the target is a cluster on its own
    differs between images and seeds; the score picks the split that best explains the image.

    Args:
      label_maps: (h, w) integer label maps of one shape, with any numbering.
      image: (H, W, 3) uint8 image.
      config: segmentation settings; the clean-up fields are read.

    Returns:
      All proposals with their scores, or None if no label map has a large enough group.
    """
    step = -(-max(label_maps[0].shape) // _SIDE)
    first = subsample(label_maps[0], step)
    small = reduce_image(image, label_maps[0].shape)
    outside = resize_outside(image, small, choose_finder(config.choice))
    pixels = small.astype(np.float32) / 255
    luminance, splits = pixels @ LUMA, Splits(pixels)

    def list_masks(labels: np.ndarray) -> list[bytes]:
        labels = subsample(labels, step)
        values, places = np.unique(labels, return_inverse=True)
        chosen = [np.isin(values, group) for group in list_groups(labels, luminance, outside)]
        if not chosen:
            return []
        raw = np.array(chosen).take(places, 1) & ~outside
        large = raw.mean((1, 2)) >= SMALLEST
        # One bit a pixel, since all proposals are kept at once; equal ones are found by hash.
        return [bits.tobytes() for bits in np.packbits(raw[large].reshape(-1, first.size), 1)]

    def unpack(some: Sequence[bytes]) -> np.ndarray:
        bits = np.array([np.frombuffer(one, np.uint8) for one in some])
        return np.unpackbits(bits, 1, count=first.size).view(bool).reshape(-1, *first.shape)

    def score(some: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
        raw = unpack(some)
        masks = clean(raw, config)
        scores = splits.score(masks, (raw & ~masks) | outside)
        return scores, np.packbits(masks.reshape(-1, first.size), 1)

    sources: dict[bytes, list[int]] = {}  # packed mask → label maps that have it
    for index, found in enumerate(map_in_threads(list_masks, label_maps, first.size)):
        for bits in dict.fromkeys(found):
            sources.setdefault(bits, []).append(index)
    if not sources:
        return None
    proposals, count = list(sources), _TOGETHER // first.size
    portions = [proposals[n : n + count] for n in range(0, len(proposals), count)]
    scored = map_in_threads(score, portions, first.size)
    scores, masks = (np.concatenate(parts) for parts in zip(*scored, strict=True))
    place = int(scores.argmax())
    raw = unpack(proposals[place : place + 1])[0]
    mask = np.unpackbits(masks[place], count=first.size).view(bool).reshape(first.shape)
    central = find_central_parts(mask, _CENTRAL)
    best = Proposal(sources[proposals[place]][0], float(scores[place]), central, raw & ~mask)
    return Ranking(best, place, scores, masks, tuple(map(tuple, sources.values())), small)
