"""The automatic choice: the split of the image that explains its centre best."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from s3net_jax.config import SegmentConfig
from s3net_jax.io.colors import LUMA
from s3net_jax.masks.cleanup import clean

__all__ = ["CENTER_SIGMA", "best_clusters", "candidates", "center_weight", "score"]

CENTER_SIGMA = 0.25  # of the sides: how far from the centre pixels still count
_POLARITY = 0.1  # of the sides: difference of spread that settles which side is the object


def best_clusters(labels: np.ndarray, image: np.ndarray, config: SegmentConfig) -> tuple[int, ...]:
    """The clusters that together make the best target, by :func:`score`.

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
    weight = center_weight(labels.shape, CENTER_SIGMA)
    best, best_score = (int(labels.flat[0]),), -1.0
    for chosen in candidates(labels, pixels @ LUMA):
        raw = np.isin(labels, chosen)
        mask = clean(raw, config)
        value = score(mask, raw & ~mask, pixels, weight)
        if value > best_score:
            best, best_score = chosen, value
    return best


def score(mask: np.ndarray, ignored: np.ndarray, pixels: np.ndarray, weight: np.ndarray) -> float:
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
      pixels: (H, W, 3) floats.
      weight: (H, W) floats.
    """
    kept = np.where(ignored, 0, weight)
    inside = float(np.sum(kept[mask]))
    outside = float(np.sum(kept)) - inside
    if inside <= 0 or outside <= 0:
        return 0.0
    total = inside + outside
    sum_all = np.einsum("hwc,hw->c", pixels, kept)
    sum_in = np.einsum("nc,n->c", pixels[mask], kept[mask])
    mean = sum_all / total
    variance = np.einsum("hwc,hwc,hw->", pixels, pixels, kept) / total - mean @ mean
    apart = sum_in / inside - (sum_all - sum_in) / outside
    between = inside * outside / total**2 * float(apart @ apart)
    explained = between / (float(variance) + 1e-6)
    spread_in, spread_out = _spread(mask), _spread(~mask)
    return explained / (1 + np.exp((spread_in - spread_out) / _POLARITY))


def center_weight(shape: tuple[int, ...], sigma: float) -> np.ndarray:
    """(H, W) Gaussian around the centre; ``sigma`` in units of each side."""
    y, x = _offsets(shape)
    return np.exp(-(y**2 + x**2) / (2 * sigma**2)).astype(np.float32)


def _spread(mask: np.ndarray) -> float:
    y, x = _offsets(mask.shape)
    return float(np.sqrt(np.mean((y**2 + x**2)[mask]))) if mask.any() else 0.0


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
