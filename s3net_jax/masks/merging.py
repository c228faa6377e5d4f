"""Merge the clusters of a label map down to a given number."""

from __future__ import annotations

import dataclasses

import numpy as np

from s3net_jax.masks.labels import compact_labels
from s3net_jax.masks.segments import Segments

__all__ = ["merge_clusters"]


def merge_clusters(whole: Segments, values: np.ndarray, count: int) -> Segments:
    """Merge the most similar clusters until ``count`` are left; the mask does not change.

    Agglomerative clustering with Ward's criterion: each step joins the pair (a, b) with the
    smallest n_a n_b / (n_a + n_b) · |m_a − m_b|², where n is the number of pixels of a cluster and
    m its mean colour; this increases the sum of squared deviations from the cluster means least
    (Ward, J. Am. Stat. Assoc. 58, 1963). Clusters of the target merge only with each other, so
    that the target remains a union of clusters. Of equal pairs, the one with the lowest labels is
    joined: the result is deterministic.

    Args:
      whole: labels, mask and target of an image or volume.
      values: grey values or colours, the shape of the labels, optionally with a last axis of
        channels.
      count: number of clusters to keep, at least 2; 0 keeps all.

    Returns:
      Segments with compact labels; with fewer than ``count`` clusters, ``whole`` with ``missing``
      set to the number that is lacking.
    """
    found = whole.count
    if count == 0 or found == count:
        return whole
    if found < count:
        return dataclasses.replace(whole, missing=count - found)
    flat = whole.labels.ravel()
    areas = np.bincount(flat, minlength=found).astype(np.float64)
    channels = values.reshape(flat.size, -1)
    means = np.stack([np.bincount(flat, channel, found) / areas for channel in channels.T], -1)
    is_target = np.isin(np.arange(found), whole.target)
    table = _join_pairs(means, areas, is_target, count)
    labels = compact_labels(table[whole.labels])
    renamed = np.zeros(found, np.int32)
    renamed[flat] = labels.ravel()
    target = tuple(sorted({int(renamed[label]) for label in whole.target}))
    return Segments(labels, whole.mask, target)


def _join_pairs(
    means: np.ndarray, areas: np.ndarray, is_target: np.ndarray, count: int
) -> np.ndarray:
    """Return the cluster that each of L clusters ends up in, (L,) int.

    Args:
      means: mean colours, (L, C) float64.
      areas: numbers of pixels, (L,) float64.
      is_target: which clusters belong to the target, (L,) bool.
      count: number of clusters to keep.
    """
    means, areas = means.copy(), areas.copy()
    number = len(areas)
    table = np.arange(number)
    cost = np.full((number, number), np.inf)
    for a in range(number):
        cost[a, a + 1 :] = _compute_costs(means, areas, a)[a + 1 :]
    cost[is_target[:, None] != is_target] = np.inf
    for _ in range(number - count):
        a, b = np.unravel_index(np.argmin(cost), cost.shape)  # a < b: the first of equal pairs
        means[a] = (areas[a] * means[a] + areas[b] * means[b]) / (areas[a] + areas[b])
        areas[a] += areas[b]
        table[table == b] = a
        cost[b], cost[:, b] = np.inf, np.inf
        new = _compute_costs(means, areas, int(a))
        # Only pairs that were allowed: not with clusters that are gone, nor across the target.
        cost[a] = np.where(np.isfinite(cost[a]), new, np.inf)
        cost[:, a] = np.where(np.isfinite(cost[:, a]), new, np.inf)
    return table


def _compute_costs(means: np.ndarray, areas: np.ndarray, a: int) -> np.ndarray:
    """Compute Ward's criterion between cluster ``a`` and every cluster, (L,) float64."""
    apart = ((means - means[a]) ** 2).sum(-1)
    return areas * areas[a] / (areas + areas[a]) * apart
