"""Turn logits of the network into a label map and a mask at image resolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image as PilImage

from s3net_jax.config import SegmentConfig
from s3net_jax.io import Image
from s3net_jax.masks.boundary import redraw
from s3net_jax.masks.cleanup import clean
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
    "select_segments",
]


@dataclass(frozen=True, eq=False)
class Segments:
    """A segmented image.

    Attributes:
      labels: (H, W) int32 in 0..L−1 by decreasing area, at image resolution; (slices, H, W) for a
        volume.
      mask: bool mask of the target, of the same shape.
      target: labels that make up the target; empty if only one cluster is left.
    """

    labels: np.ndarray
    mask: np.ndarray
    target: tuple[int, ...]

    @property
    def count(self) -> int:
        """Number of clusters L."""
        return int(self.labels.max()) + 1

    @property
    def area(self) -> float:
        """Fraction of the image covered by the target, in [0, 1]."""
        return float(self.mask.mean())

    def notes(self, name: str) -> list[str]:
        """Return the notes to print for this result; ``name`` is the name of the image."""
        if self.target:
            return []
        return [f"{name} collapsed into one cluster, so its mask is empty. Try another seed."]


def segment_logits(logits: np.ndarray, image: Image, config: SegmentConfig) -> Segments:
    """Compute label map, target and mask from logits.

    Args:
      logits: (h, w, K) floating-point logits of the prepared image.
      image: image at its original size (H, W).
      config: segmentation settings.

    Raises:
      ConfigError: if the target rule is unknown.
      InputError: if the target is a point outside the image.
    """
    labels = compact_labels(compute_labels(np.asarray(logits), image.shape))
    return find_segments(labels, image, config)


def find_segments(labels: np.ndarray, image: Image, config: SegmentConfig) -> Segments:
    """Choose the target and compute its mask from compact labels (H, W) of ``image``.

    With ``config.boundary == "local"`` the boundary of the mask is redrawn and the mask becomes a
    separate cluster. Raises the same errors as :func:`segment_logits`.
    """
    pixels = image.rgb8()
    target = choose_target(labels, pixels, config, image.name)
    if config.boundary == "clusters":
        return Segments(labels, target.mask, target.labels)
    raw = np.isin(labels, target.labels)
    return add_mask_as_label(labels, refine_outline(target.mask, raw, image, config))


def select_segments(
    labels: np.ndarray,
    raw: np.ndarray,
    target: tuple[int, ...],
    image: Image,
    config: SegmentConfig,
) -> Segments:
    """Make given pixels the target, as :func:`find_segments` does with chosen clusters.

    Args:
      labels: (H, W) compact labels of ``image``.
      raw: (H, W) bool, pixels to select.
      target: labels that ``raw`` consists of.
      image: image of size (H, W).
      config: segmentation settings; the clean-up and boundary fields are read.
    """
    mask = clean(raw, config)
    if config.boundary == "clusters":
        return Segments(labels, mask, target)
    return add_mask_as_label(labels, refine_outline(mask, raw, image, config))


def refine_outline(
    mask: np.ndarray, raw: np.ndarray, image: Image, config: SegmentConfig
) -> np.ndarray:
    """Redraw the boundary of ``mask``, the cleaned version of ``raw``."""
    return redraw(image.rgb8(), mask, raw & ~mask, config, central=config.target == "auto")


def find_proposed_segments(
    label_maps: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    image: Image,
    config: SegmentConfig,
) -> tuple[Segments, int]:
    """Find the best target among the clusters of several label maps.

    See :func:`find_best_proposal`.

    Args:
      label_maps: (h, w) integer label maps of one shape.
      labels: compact label map (H, W) for each of ``label_maps``; the target is added to one.
      image: image of size (H, W).
      config: segmentation settings; the clean-up and boundary fields are read.

    Returns:
      The segments, in which the target is a separate cluster, and the index of the label map that
      the target comes from.
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
    """Add ``mask`` to ``labels`` as a separate cluster and make the labels compact; both (H, W)."""
    if not mask.any():
        return Segments(labels, mask, ())
    joined = compact_labels(np.where(mask, 0, labels + 1))
    return Segments(joined, mask, (int(joined[mask][0]),))
