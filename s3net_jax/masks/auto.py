"""Choose a target automatically: the split that best explains the centre of the image."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from s3net_jax.config import SegmentConfig
from s3net_jax.io import LUMA
from s3net_jax.masks.cleanup import clean

__all__ = ["Splits", "compute_center_weight", "find_best_clusters", "list_groups"]

# Standard deviation of the Gaussian that weights pixels by their distance from the centre, as a
# fraction of each side. Half: +0.1 on PH²; double: no change.
_CENTER_SIGMA = 0.25
# Scale of the logistic that decides which side of a split is the object, as a fraction of the
# sides: a side that is 0.1 nearer the centre already has most of the weight.
# Half: one slice better; double: no change.
_POLARITY = 0.1


def find_best_clusters(
    labels: np.ndarray, image: np.ndarray, config: SegmentConfig
) -> tuple[int, ...]:
    """Return the group of clusters with the highest :meth:`Splits.score`.

    Candidates are every single cluster and the unions of the 2, 3, ... darkest and brightest
    clusters, so that a lesion whose core and rim are two clusters can be one target. Each
    candidate is scored after the clean-up.

    Args:
      labels: (H, W) integer label map with at least two distinct values.
      image: (H, W, 3) uint8 image.
      config: segmentation settings; the clean-up fields are read.

    Returns:
      Labels of the chosen clusters, in ascending order.
    """
    pixels = image.astype(np.float32) / 255
    splits = Splits(pixels)
    best, best_score = (int(labels.flat[0]),), -1.0
    for chosen in list_groups(labels, pixels @ LUMA):
        raw = np.isin(labels, chosen)
        mask = clean(raw, config)
        value = float(splits.score(mask[None], (raw & ~mask)[None])[0])
        if value > best_score:
            best, best_score = chosen, value
    return best


class Splits:
    """Score splits of one image, or of all slices of a volume, into an object and its surroundings.

    Args:
      pixels: (..., H, W, 3) floating-point image or slices in [0, 1]. Distances from the centre
        are those within a slice: the range of a scan follows the anatomy, so an object need not be
        in its middle slices.
    """

    def __init__(self, pixels: np.ndarray):
        # Float64, because the variance is a difference of two sums over all pixels.
        size, count = pixels.shape[-3:-1], math.prod(pixels.shape[:-3])
        weight = compute_center_weight(size, _CENTER_SIGMA).ravel().astype(np.float64)
        weight = np.tile(weight, count)
        colors = pixels.reshape(-1, 3).astype(np.float64)
        moments = (np.ones(len(colors)), *colors.T, (colors**2).sum(1))
        self._weighted = np.stack([weight * moment for moment in moments])
        y, x = _compute_offsets(size)
        self._away = np.tile((y**2 + x**2).ravel(), count)

    def score(self, masks: np.ndarray, ignored: np.ndarray) -> np.ndarray:
        """Score how well each mask splits the image into an object and its surroundings.

        The score is the fraction of colour variance that the split explains (between-class over
        total variance, as in Otsu's method, with pixels weighted by their distance from the
        centre), times 1 / (1 + exp((s_in − s_out) / 0.1)). s is the root mean square distance
        from the centre in units of the sides; the factor makes the side nearer the centre the
        object. Targets that are too small, too large or too faint explain little variance.

        Args:
          masks: (N, ..., H, W) bool, the cleaned candidates.
          ignored: (N, ..., H, W) bool, pixels removed by the clean-up. They count as neither object
            nor surroundings, so the air around a body does not lower the score of the lungs.

        Returns:
          (N,) scores in [0, 1]; 0 for a mask that leaves one side empty.
        """
        sides = np.stack((~masks, masks), dtype=np.float64).reshape(2, len(masks), -1)
        count = sides.sum(2)
        # einsum instead of BLAS: threads that BLAS starts here would compete for the cores with
        # the thread pool that calls this method.
        far = np.einsum("smn,n->sm", sides, self._away)
        spread = np.sqrt(far / np.maximum(count, 1))
        sides *= ~ignored.reshape(len(masks), -1)
        weights, *colors, squares = np.einsum("kn,smn->ksm", self._weighted, sides)
        outside, inside = weights
        split = (inside > 0) & (outside > 0)
        some = np.where(split, weights, 1)  # any non-zero value; masks that are no split score 0
        total = some.sum(0)
        mean = np.sum(colors, 1) / total
        variance = squares.sum(0) / total - (mean**2).sum(0)
        apart = [of[1] / some[1] - of[0] / some[0] for of in colors]
        between = some[0] * some[1] / total**2 * sum(part**2 for part in apart)
        explained = between / (variance + 1e-6)
        return split * explained / (1 + np.exp((spread[1] - spread[0]) / _POLARITY))


def compute_center_weight(shape: tuple[int, ...], sigma: float) -> np.ndarray:
    """Return a Gaussian around the image centre.

    Args:
      shape: image size (H, W).
      sigma: standard deviation, as a fraction of each side.

    Returns:
      (H, W) float32 weights in (0, 1].
    """
    y, x = _compute_offsets(shape)
    return np.exp(-(y**2 + x**2) / (2 * sigma**2)).astype(np.float32)


def _compute_offsets(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return signed offsets from the centre as fractions of the sides: (H, 1) and (1, W)."""
    height, width = shape
    y = (np.arange(height) - (height - 1) / 2) / height
    x = (np.arange(width) - (width - 1) / 2) / width
    return y[:, None], x[None, :]


def list_groups(
    labels: np.ndarray, luminance: np.ndarray, outside: np.ndarray | None = None
) -> Iterator[tuple[int, ...]]:
    """Yield groups of clusters that may be a target.

    These are every single cluster, and the unions of the 2, 3, ... darkest and brightest ones.

    Args:
      labels: (..., H, W) integer label map.
      luminance: (..., H, W) floating-point luminance.
      outside: (..., H, W) bool mask of pixels to ignore; None ignores none.

    Yields:
      Labels of a group, in ascending order; never all labels at once.
    """
    if outside is not None:
        labels, luminance = labels[~outside], luminance[~outside]
    values, places, areas = np.unique(labels, return_inverse=True, return_counts=True)
    levels = np.bincount(places.ravel(), luminance.ravel()) / areas
    by_level = [int(values[i]) for i in np.argsort(levels, kind="stable")]
    seen = {tuple(sorted(by_level))}  # the whole image is never a target
    count = len(by_level)
    groups = [[value] for value in by_level]
    groups += [by_level[:n] for n in range(2, count)] + [by_level[-n:] for n in range(2, count)]
    for group in groups:
        chosen = tuple(sorted(group))
        if chosen not in seen:
            seen.add(chosen)
            yield chosen
