"""The automatic choice: the split of the image that explains its centre best."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from s3net_jax.config import SegmentConfig
from s3net_jax.io.colors import LUMA
from s3net_jax.masks.cleanup import clean

__all__ = ["Splits", "best_clusters", "candidates", "center_weight"]

_CENTER_SIGMA = 0.25  # of the sides: how far from the centre pixels still count
_POLARITY = 0.1  # of the sides: difference of spread that settles which side is the object


def best_clusters(labels: np.ndarray, image: np.ndarray, config: SegmentConfig) -> tuple[int, ...]:
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
    for chosen in candidates(labels, pixels @ LUMA):
        raw = np.isin(labels, chosen)
        mask = clean(raw, config)
        value = splits.score(mask, raw & ~mask)
        if value > best_score:
            best, best_score = chosen, value
    return best


class Splits:
    """Scores of splits of one image, (H, W, 3) floats, into an object and its surroundings."""

    def __init__(self, pixels: np.ndarray):
        weight = center_weight(pixels.shape[:2], _CENTER_SIGMA).ravel().astype(np.float64)
        colors = pixels.reshape(-1, 3).astype(np.float64)
        moments = (np.ones(len(colors)), *colors.T, (colors**2).sum(1))
        self._weighted = [weight * moment for moment in moments]
        y, x = _offsets(pixels.shape[:2])
        self._away = (y**2 + x**2).ravel()

    def score(self, mask: np.ndarray, ignored: np.ndarray) -> float:
        """How well ``mask`` splits the image into an object and its surroundings, in [0, 1].

        The share of the colours' variance that the split explains, with pixels weighted by their
        distance from the centre (between-class over total variance, as in Otsu's method), times
        1 / (1 + exp((s_in − s_out) / 0.1)), where s is the root mean square distance from the
        centre in units of the sides: of the two sides of a split, the one nearer the centre is
        the object. Too small, too large and faint targets all explain little.

        Args:
          mask: (H, W) bool, the cleaned candidate.
          ignored: (H, W) bool, what the clean-up took from it: neither object nor surroundings,
            so that the air around a body does not speak against the lungs.
        """
        # Where a pixel belongs: 0 around, 1 inside, 2 and 3 the same, but ignored.
        place = (mask + 2 * ignored.astype(np.intp)).ravel()
        sums = [np.bincount(place, values, 4)[:2] for values in self._weighted]
        (outside, inside), (*colors, squares) = sums[0], np.array(sums[1:])
        if inside <= 0 or outside <= 0:
            return 0.0
        total = inside + outside
        mean = np.sum(colors, 1) / total
        variance = squares.sum() / total - float((mean**2).sum())
        apart = [of[1] / inside - of[0] / outside for of in colors]
        between = inside * outside / total**2 * sum(part**2 for part in apart)
        explained = between / (variance + 1e-6)
        far, count = np.bincount(place, self._away, 4), np.bincount(place, minlength=4)
        spread = np.sqrt((far[:2] + far[2:]) / np.maximum(count[:2] + count[2:], 1))
        return float(explained / (1 + np.exp((spread[1] - spread[0]) / _POLARITY)))


def center_weight(shape: tuple[int, ...], sigma: float) -> np.ndarray:
    """(H, W) Gaussian around the centre; ``sigma`` in units of each side."""
    y, x = _offsets(shape)
    return np.exp(-(y**2 + x**2) / (2 * sigma**2)).astype(np.float32)


def _offsets(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Distances from the centre, in units of the sides: (H, 1) and (1, W)."""
    height, width = shape
    y = (np.arange(height) - (height - 1) / 2) / height
    x = (np.arange(width) - (width - 1) / 2) / width
    return y[:, None], x[None, :]


def candidates(
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
