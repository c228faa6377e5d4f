"""The automatic choice: the split of the image that explains its centre best."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from s3net_jax.config import SegmentConfig
from s3net_jax.io import LUMA
from s3net_jax.masks.cleanup import clean

__all__ = ["Splits", "compute_center_weight", "find_best_clusters", "list_groups"]

_CENTER_SIGMA = 0.25  # of the sides: how far from the centre pixels still count
_POLARITY = 0.1  # of the sides: difference of spread that settles which side is the object


def find_best_clusters(
    labels: np.ndarray, image: np.ndarray, config: SegmentConfig
) -> tuple[int, ...]:
    """The clusters that together make the best target, by :meth:`Splits.score`.

    Candidates are every single cluster, and the 1, 2, ... darkest and brightest clusters
    together: a lesion whose core and rim are two clusters is one target. Each candidate is
    scored after the clean-up.

    Args:
      labels: (H, W) integers, at least two values.
      image: (H, W, 3) uint8.
      config: the clean-up.

    Returns:
      Labels in ascending order.
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
    """Scores of splits of one image, (H, W, 3) floats, into an object and its surroundings."""

    def __init__(self, pixels: np.ndarray):
        weight = compute_center_weight(pixels.shape[:2], _CENTER_SIGMA).ravel().astype(np.float64)
        colors = pixels.reshape(-1, 3).astype(np.float64)
        moments = (np.ones(len(colors)), *colors.T, (colors**2).sum(1))
        self._weighted = np.stack([weight * moment for moment in moments])
        y, x = _compute_offsets(pixels.shape[:2])
        self._away = (y**2 + x**2).ravel()

    def score(self, masks: np.ndarray, ignored: np.ndarray) -> np.ndarray:
        """How well masks split the image into an object and its surroundings, (N,) in [0, 1].

        The share of the colours' variance that the split explains, with pixels weighted by their
        distance from the centre (between-class over total variance, as in Otsu's method), times
        1 / (1 + exp((s_in − s_out) / 0.1)), where s is the root mean square distance from the
        centre in units of the sides: of the two sides of a split, the one nearer the centre is
        the object. Too small, too large and faint targets all explain little.

        Args:
          masks: (N, H, W) bool, the cleaned candidates.
          ignored: (N, H, W) bool, what the clean-up took from them: neither object nor
            surroundings, so that the air around a body does not speak against the lungs.
        """
        sides = np.stack((~masks, masks), dtype=np.float64).reshape(2, len(masks), -1)
        count = sides.sum(2)
        # Not products of BLAS, whose threads would wait for those that compute already.
        far = np.einsum("smn,n->sm", sides, self._away)
        spread = np.sqrt(far / np.maximum(count, 1))
        sides *= ~ignored.reshape(len(masks), -1)
        weights, *colors, squares = np.einsum("kn,smn->ksm", self._weighted, sides)
        outside, inside = weights
        split = (inside > 0) & (outside > 0)
        some = np.where(split, weights, 1)  # whatever it is of those that are no split
        total = some.sum(0)
        mean = np.sum(colors, 1) / total
        variance = squares.sum(0) / total - (mean**2).sum(0)
        apart = [of[1] / some[1] - of[0] / some[0] for of in colors]
        between = some[0] * some[1] / total**2 * sum(part**2 for part in apart)
        explained = between / (variance + 1e-6)
        return split * explained / (1 + np.exp((spread[1] - spread[0]) / _POLARITY))


def compute_center_weight(shape: tuple[int, ...], sigma: float) -> np.ndarray:
    """(H, W) Gaussian around the centre; ``sigma`` in units of each side."""
    y, x = _compute_offsets(shape)
    return np.exp(-(y**2 + x**2) / (2 * sigma**2)).astype(np.float32)


def _compute_offsets(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Distances from the centre, in units of the sides: (H, 1) and (1, W)."""
    height, width = shape
    y = (np.arange(height) - (height - 1) / 2) / height
    x = (np.arange(width) - (width - 1) / 2) / width
    return y[:, None], x[None, :]


def list_groups(
    labels: np.ndarray, luminance: np.ndarray, outside: np.ndarray | None = None
) -> Iterator[tuple[int, ...]]:
    """Groups of clusters that may be a target: each alone, and the 2, 3, ... darkest and brightest.

    Args:
      labels: (H, W) integers.
      luminance: (H, W) floats.
      outside: (H, W) bool, pixels that count for nothing.

    Yields:
      Labels in ascending order; never all of them.
    """
    if outside is not None:
        labels, luminance = labels[~outside], luminance[~outside]
    values, places, areas = np.unique(labels, return_inverse=True, return_counts=True)
    levels = np.bincount(places.ravel(), luminance.ravel()) / areas
    by_level = [int(values[i]) for i in np.argsort(levels, kind="stable")]
    seen = {tuple(sorted(by_level))}  # everything at once is no target
    count = len(by_level)
    groups = [[value] for value in by_level]
    groups += [by_level[:n] for n in range(2, count)] + [by_level[-n:] for n in range(2, count)]
    for group in groups:
        chosen = tuple(sorted(group))
        if chosen not in seen:
            seen.add(chosen)
            yield chosen
