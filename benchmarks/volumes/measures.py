"""Measure a segmented volume: DSC, and how well neighbouring slices agree."""

from __future__ import annotations

import numpy as np

__all__ = ["compute_dsc", "compute_kappa", "measure_neighbours"]


def compute_dsc(mask: np.ndarray, truth: np.ndarray) -> float:
    """Compute 2 |A ∩ B| / (|A| + |B|) in [0, 1] of two bool masks; 1 if both are empty."""
    total = int(mask.sum()) + int(truth.sum())
    return 1.0 if total == 0 else 2 * int((mask & truth).sum()) / total


def compute_kappa(first: np.ndarray, second: np.ndarray) -> float:
    """Compute Cohen's kappa of two label maps: 1 if they are equal, 0 if they agree by chance."""
    agreed = float((first == second).mean())
    values = np.union1d(first, second)
    shares = [[float((one == value).mean()) for value in values] for one in (first, second)]
    chance = sum(a * b for a, b in zip(*shares, strict=True))
    return 1.0 if chance == 1 else (agreed - chance) / (1 - chance)


def measure_neighbours(labels: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """Measure the agreement of every slice with the next one.

    Args:
      labels: (slices, H, W) integer labels.
      mask: (slices, H, W) bool mask.

    Returns:
      ``mask_dsc``: mean DSC of the masks of neighbours, of which at least one is not empty;
      ``label_kappa``: mean Cohen's kappa of their label maps.
    """
    pairs = [(n, n + 1) for n in range(len(mask) - 1)]
    masks = [compute_dsc(mask[a], mask[b]) for a, b in pairs if mask[a].any() or mask[b].any()]
    kappas = [compute_kappa(labels[a], labels[b]) for a, b in pairs]
    return {
        "mask_dsc": round(float(np.mean(masks)), 4) if masks else 0.0,
        "label_kappa": round(float(np.mean(kappas)), 4),
    }
