"""From the network's logits to a label map and a mask at the image's own size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image as PilImage

from s3net_jax.config import SegmentConfig
from s3net_jax.io import Image
from s3net_jax.masks.boundary import redraw
from s3net_jax.masks.labels import compact_labels, compute_labels
from s3net_jax.masks.proposals import find_best_proposal
from s3net_jax.masks.target import choose_target

__all__ = [
    "Segments",
    "add_mask_as_label",
    "find_proposed_segments",
    "find_segments",
    "refine_outline",
    "segment_logits",
]


@dataclass(frozen=True, eq=False)
class Segments:
    """A segmented image.

    Attributes:
      labels: (H, W) int32, 0..L−1 by decreasing area, at the image's own size; of a volume
        (slices, H, W).
      mask: bool, of the same shape, the target.
      target: the labels that the target was made from; empty if only one cluster is left.
    """

    labels: np.ndarray
    mask: np.ndarray
    target: tuple[int, ...]

    @property
    def count(self) -> int:
        """L, the number of clusters."""
        return int(self.labels.max()) + 1

    @property
    def area(self) -> float:
        """The target's share of the image, in [0, 1]."""
        return float(self.mask.mean())

    def notes(self, name: str) -> list[str]:
        """What a user should know of it."""
        if self.target:
            return []
        return [f"{name} ended as one single cluster: its mask is empty; try another seed."]


def segment_logits(logits: np.ndarray, image: Image, config: SegmentConfig) -> Segments:
    """Label map, target and mask.

    Args:
      logits: (h, w, K) floating point, from the prepared image.
      image: the image at its own size (H, W).
      config: target and clean-up.

    Raises:
      ConfigError: an unknown target.
      InputError: a point outside the image.
    """
    labels = compact_labels(compute_labels(np.asarray(logits), image.shape))
    return find_segments(labels, image, config)


def find_segments(labels: np.ndarray, image: Image, config: SegmentConfig) -> Segments:
    """Target and mask for compact labels (H, W) of ``image``; raises as :func:`segment_logits`.

    With ``config.boundary == "local"`` the mask is drawn anew, and has a label of its own.
    """
    pixels = image.rgb8()
    target = choose_target(labels, pixels, config, image.name)
    if config.boundary == "clusters":
        return Segments(labels, target.mask, target.labels)
    raw = np.isin(labels, target.labels)
    return add_mask_as_label(labels, refine_outline(target.mask, raw, image, config))


def refine_outline(
    mask: np.ndarray, raw: np.ndarray, image: Image, config: SegmentConfig
) -> np.ndarray:
    """``mask``, what the clean-up left of ``raw``, with its boundary drawn anew."""
    return redraw(image.rgb8(), mask, raw & ~mask, config, central=config.target == "auto")


def find_proposed_segments(
    label_maps: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    image: Image,
    config: SegmentConfig,
) -> tuple[Segments, int]:
    """The best target among all clusters of several label maps (:func:`find_best_proposal`).

    Args:
      label_maps: (h, w) integers each, of one shape.
      labels: for each of them a compact label map (H, W), which the target is put into.
      image: of (H, W) pixels.
      config: clean-up and boundary.

    Returns:
      Labels, in which the target has a label of its own, with mask and target; and the place of
      the label map that it comes from.
    """
    pixels = image.rgb8()
    found = find_best_proposal(label_maps, pixels, config)
    if found is None:
        return Segments(labels[0], np.zeros(image.shape, bool), ()), 0
    if config.boundary == "local":
        mask = redraw(pixels, found.mask, found.ignored, config, central=True)
    else:
        small = PilImage.fromarray(found.mask.astype(np.uint8) * np.uint8(255))
        size = (image.shape[1], image.shape[0])
        mask = np.asarray(small.resize(size, PilImage.Resampling.BILINEAR)) > 127
    return add_mask_as_label(labels[found.index], mask), found.index


def add_mask_as_label(labels: np.ndarray, mask: np.ndarray) -> Segments:
    """``labels`` (H, W), made compact again, with ``mask`` (H, W) as a cluster of its own."""
    if not mask.any():
        return Segments(labels, mask, ())
    joined = compact_labels(np.where(mask, 0, labels + 1))
    return Segments(joined, mask, (int(joined[mask][0]),))
