"""From the network's logits to a label map and a mask at the image's own size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from s3net_jax.config import SegmentConfig
from s3net_jax.io.image import Image
from s3net_jax.masks.labels import compact_labels, labels_at_size
from s3net_jax.masks.target import choose_target

__all__ = ["Segments", "segment_logits", "segments_of"]


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
    labels = compact_labels(labels_at_size(np.asarray(logits), image.shape))
    return segments_of(labels, image, config)


def segments_of(labels: np.ndarray, image: Image, config: SegmentConfig) -> Segments:
    """Target and mask for compact labels (H, W) of ``image``; raises as :func:`segment_logits`."""
    target = choose_target(labels, image.rgb8(), config, image.name)
    return Segments(labels, target.mask, target.labels)
