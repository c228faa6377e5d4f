"""Turn logits of the network into a label map and a mask at image resolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image as PilImage

from s3net_jax.config import SegmentConfig
from s3net_jax.io import Image
from s3net_jax.masks.boundary import redraw
from s3net_jax.masks.choice import rank_candidates
from s3net_jax.masks.cleanup import clean, fill_pockets
from s3net_jax.masks.labels import compact_labels, compute_labels
from s3net_jax.masks.proposals import Ranking
from s3net_jax.masks.solid import find_outliers
from s3net_jax.masks.target import choose_target

__all__ = [
    "Segments",
    "add_mask_as_label",
    "draw_best_proposal",
    "find_proposed_segments",
    "find_segments",
    "refine_outline",
    "segment_logits",
    "select_segments",
]


_LISTED = 5  # slices that a note names at most


@dataclass(frozen=True, eq=False)
class Segments:
    """A segmented image.

    Attributes:
      labels: (H, W) int32 in 0..L−1 by decreasing area, at image resolution; (slices, H, W) for a
        volume.
      mask: bool mask of the target, of the same shape.
      target: labels that make up the target; empty if only one cluster is left.
      missing: number of clusters that ``segment.clusters`` asks for beyond those that were found.
    """

    labels: np.ndarray
    mask: np.ndarray
    target: tuple[int, ...]
    missing: int = 0

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
        notes = []
        if not self.target:
            notes.append(
                f"{name} collapsed into one cluster, so its mask is empty. Try another seed."
            )
        if self.missing:
            found, wanted = self.count, self.count + self.missing
            noun = "cluster" if found == 1 else "clusters"
            notes.append(
                f"{name} has only {found} {noun}, fewer than the {wanted} that segment.clusters "
                "asks for."
            )
        outliers = find_outliers(self.mask) if self.mask.ndim == 3 else []
        if outliers:
            listed = ", ".join(str(n + 1) for n in outliers[:_LISTED])
            more = f" and {len(outliers) - _LISTED} more" if len(outliers) > _LISTED else ""
            noun = "slice" if len(outliers) == 1 else "slices"
            notes.append(
                f"The mask of {name} is much smaller or larger in {noun} {listed}{more} than in "
                "the slices around: check it there."
            )
        return notes


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

    Unlike there, only small holes are filled (:func:`.cleanup.fill_pockets`).

    Args:
      labels: (H, W) compact labels of ``image``.
      raw: (H, W) bool, pixels to select.
      target: labels that ``raw`` consists of.
      image: image of size (H, W).
      config: segmentation settings; the clean-up and boundary fields are read.
    """
    raw, kept = fill_pockets(raw, config), replace(config, fill_holes=False)
    mask = clean(raw, kept)
    if config.boundary == "clusters":
        return Segments(labels, mask, target)
    drawn = refine_outline(mask, raw, image, kept)
    return add_mask_as_label(labels, fill_pockets(drawn, config))


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

    See :func:`s3net_jax.masks.choice.rank_candidates` and :func:`draw_best_proposal`.

    Args:
      label_maps: (h, w) integer label maps of one shape.
      labels: compact label map (H, W) for each of ``label_maps``; the target is added to one.
      image: image of size (H, W).
      config: segmentation settings; the clean-up and boundary fields are read.

    Returns:
      The segments, in which the target is a separate cluster, and the index of the label map that
      the target comes from.
    """
    ranking = rank_candidates(label_maps, image.rgb8(), config)
    return draw_best_proposal(ranking, labels, image, config)


def draw_best_proposal(
    ranking: Ranking | None, labels: Sequence[np.ndarray], image: Image, config: SegmentConfig
) -> tuple[Segments, int]:
    """Draw the outline of the best proposal at the size of the image.

    Args:
      ranking: ranking of all proposals; None if there are none, which gives an empty mask.
      labels: compact label map (H, W) for each label map of the ranking.
      image: image of size (H, W).
      config: segmentation settings; the boundary fields are read.

    Returns:
      The segments and an index, as of :func:`find_proposed_segments`.
    """
    if ranking is None:
        return Segments(labels[0], np.zeros(image.shape, bool), ()), 0
    found = ranking.best
    if config.boundary == "local":
        mask = redraw(image.rgb8(), found.mask, found.ignored, config, central=True)
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
