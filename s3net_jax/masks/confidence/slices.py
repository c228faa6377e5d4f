"""Estimate how good the mask of a volume is, from estimates of its slices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from s3net_jax.masks.confidence.estimate import Confidence

__all__ = ["join_slices", "measure_neighbours"]


def measure_neighbours(mask: np.ndarray) -> float:
    """Measure how much the slices of a mask agree with their neighbours.

    The DSC of the mask with its median over three consecutive slices, which a slice with another
    target, without any, or with a much larger one changes. The first and the last slice have one
    neighbour only and are not changed.

    In the public CT of TotalSegmentator (30 slices, 3 mm), the true masks of 39 structures that
    are in at least 4 slices have .94 or more; with every second slice, nine of ten have .88 or
    more.

    Args:
      mask: (slices, H, W) bool.

    Returns:
      The DSC in [0, 1]; 1 if the mask or its median is empty in all slices.
    """
    shared = total = 0
    for n, part in enumerate(mask):
        before, after = mask[max(n - 1, 0)], mask[min(n + 1, len(mask) - 1)]
        is_inner = 0 < n < len(mask) - 1
        median = (before & after) | (part & (before | after)) if is_inner else part
        shared += np.count_nonzero(part & median)
        total += np.count_nonzero(part) + np.count_nonzero(median)
    return 2 * shared / total if total else 1.0


def join_slices(found: Sequence[Confidence], areas: Sequence[int], mask: np.ndarray) -> Confidence:
    """Join the estimates of slices to that of their volume.

    The expected DSC is the mean over the slices, weighted by the areas of their masks, but at most
    the agreement of the slices with their neighbours.

    Args:
      found: estimate of each assessed slice; at least one.
      areas: area of the mask in each of these slices, in pixels, at least 1.
      mask: (slices, H, W) bool mask of all slices that were segmented.
    """
    shares = np.array(areas, np.float64) / sum(areas)
    evidence = {}
    for name in dict.fromkeys(name for one in found for name in one.evidence):
        # Slices whose mask is too small to be measured have no measures.
        known = [n for n, one in enumerate(found) if name in one.evidence]
        values = [found[n].evidence[name] for n in known]
        evidence[name] = float(shares[known] @ values / shares[known].sum())
    evidence["neighbours"] = measure_neighbours(mask)
    mean = float(shares @ [one.expected_dsc for one in found])
    return Confidence.from_expected(min(mean, evidence["neighbours"]), evidence, "slices")
