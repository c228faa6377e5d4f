"""Measure how well a mask matches the ground truth."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from s3net_jax.criteria import TARGET

__all__ = [
    "HIGHER_IS_BETTER",
    "METRICS",
    "boundary_f",
    "dsc",
    "find_boundary",
    "hd95",
    "hm",
    "measure",
    "xor",
]

_TOLERANCE = 0.0075  # distance up to which boundaries match, as a fraction of the diagonal

METRICS = tuple(TARGET.metrics)
HIGHER_IS_BETTER = {name: one.is_higher_better for name, one in TARGET.metrics.items()}


def measure(mask: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Compute every metric in :data:`METRICS`.

    Args:
      mask, truth: (H, W) or (X, Y, Z) bool; ``truth`` has at least one pixel.

    Returns:
      Metric → value; in percent, except ``hd95`` in pixels.

    Raises:
      ValueError: if the shapes differ or the ground truth is empty.
    """
    if mask.shape != truth.shape:
        raise ValueError(
            f"The mask has shape {mask.shape}, but the ground truth has shape {truth.shape}."
        )
    if not truth.any():
        raise ValueError("The ground truth is empty.")
    return {
        "dsc": dsc(mask, truth),
        "hm": hm(mask, truth),
        "xor": xor(mask, truth),
        "hd95": hd95(mask, truth),
        "boundary_f": boundary_f(mask, truth),
    }


def dsc(mask: np.ndarray, truth: np.ndarray) -> float:
    """Compute the Dice similarity coefficient 2 |A ∩ G| / (|A| + |G|), in percent."""
    return 200 * float(np.sum(mask & truth)) / float(np.sum(mask) + np.sum(truth))


def hm(mask: np.ndarray, truth: np.ndarray) -> float:
    """Compute the Hammoude distance |A xor G| / |A ∪ G|, in percent."""
    return 100 * float(np.sum(mask ^ truth)) / float(np.sum(mask | truth))


def xor(mask: np.ndarray, truth: np.ndarray) -> float:
    """Compute |A xor G| / |G|, in percent; above 100 if the mask is much too large."""
    return 100 * float(np.sum(mask ^ truth)) / float(np.sum(truth))


def hd95(mask: np.ndarray, truth: np.ndarray) -> float:
    """Compute the 95th percentile of the distances between the boundaries, both ways, in pixels.

    For an empty mask, this is the diagonal of the image.
    """
    if not mask.any():
        return _measure_diagonal(mask)
    there, back = _measure_distances(mask, truth)
    return float(np.percentile(np.concatenate([there, back]), 95))


def boundary_f(mask: np.ndarray, truth: np.ndarray) -> float:
    """Compute the boundary F score (Csurka et al., BMVC 2013), in percent.

    It is the harmonic mean of precision and recall, the fractions of each boundary that are within
    0.75 % of the image diagonal of the other.
    """
    if not mask.any():
        return 0.0
    near = _TOLERANCE * _measure_diagonal(mask)
    precision, recall = (float(np.mean(d <= near)) for d in _measure_distances(mask, truth))
    return 200 * precision * recall / (precision + recall) if precision + recall else 0.0


def find_boundary(mask: np.ndarray) -> np.ndarray:
    """Find pixels of the mask with a neighbour outside; the image edge counts as outside."""
    return mask & ~np.asarray(ndimage.binary_erosion(mask), bool)


def _measure_distances(mask: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Measure distances from each boundary pixel to the other boundary, both ways."""
    first, second = find_boundary(mask), find_boundary(truth)
    return _measure_distance_to(second)[first], _measure_distance_to(first)[second]


def _measure_diagonal(mask: np.ndarray) -> float:
    return float(np.linalg.norm(mask.shape))


def _measure_distance_to(boundary: np.ndarray) -> np.ndarray:
    return np.asarray(ndimage.distance_transform_edt(~boundary))
