"""Whiten features and cluster them by k-means, with fixed iteration counts.

Every function is pure, maps under ``vmap``, and works with matrix products of (n, P) points and
(K, P) centroids; no (n, K, P) tensor exists. Products are computed at full precision: in TF32 or
bfloat16 the rounding error would exceed the distance between neighbouring centroids.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

__all__ = [
    "KMeans",
    "Whitening",
    "assign",
    "kmeans",
    "measure_whitening",
    "normalise",
    "seed_centroids",
    "whiten",
]

# Distance between the two centroids of a split cluster, relative to the mean distance of all
# points from their centroids. Small, so that the plane between them halves the cluster; far above
# the rounding error of float32 (1e-7), so that the two differ.
_SPLIT = 0.01


class Whitening(NamedTuple):
    """A projection onto principal components of unit variance: (x − mean)·projection."""

    mean: Array
    """Mean of the points, (D,)."""
    projection: Array
    """Principal axes divided by the standard deviations along them, (D, P)."""


class KMeans(NamedTuple):
    """Result of :func:`kmeans`."""

    centroids: Array
    """Cluster means, (K, P)."""
    labels: Array
    """Index of each point's nearest centroid, (n,) int32."""
    inertia: Array
    """Mean squared distance of the points from their nearest centroids, ()."""


def measure_whitening(points: Array, components: int) -> Whitening:
    """Compute the principal components of points, and the scales that whiten them.

    Args:
      points: feature vectors (n, D), floating point.
      components: number of components to keep, P, at least 1; those of the largest variance, or
        all if there are no more.

    Returns:
      The whitening. Components whose variance is below the rounding error of the covariance get
      the scale 0, so that constant features give zeros instead of amplified noise.
    """
    # Relative to the first point, the mean of equal points is exact.
    moved = points - points[0]
    centred = moved - jnp.mean(moved, 0)
    covariance = jnp.matmul(centred.T, centred, precision="highest") / points.shape[0]
    variances, axes = jnp.linalg.eigh(covariance)  # ascending variances
    variances, axes = variances[::-1][:components], axes[:, ::-1][:, :components]
    # The tolerance of numpy.linalg.matrix_rank for the covariance, and the rounding error of the
    # points; `tiny` covers points that are all zero.
    limits = jnp.finfo(points.dtype)
    square = jnp.mean(jnp.sum(points * points, -1))
    largest = jnp.maximum(variances[0], limits.eps * square)
    floor = jnp.maximum(points.shape[1] * limits.eps * largest, limits.tiny)
    scales = jnp.where(variances > floor, jax.lax.rsqrt(jnp.maximum(variances, floor)), 0)
    return Whitening(points[0] + jnp.mean(moved, 0), axes * scales)


def whiten(points: Array, whitening: Whitening) -> Array:
    """Project (n, D) points onto whitened components, (n, P).

    The points that the whitening was measured on get zero mean and unit covariance, apart from
    components with the scale 0.
    """
    return jnp.matmul(points - whitening.mean, whitening.projection, precision="highest")


def normalise(points: Array) -> Array:
    """Scale (n, P) points to unit length; zero vectors stay zero."""
    squares = jnp.sum(points * points, -1, keepdims=True)
    return points * jax.lax.rsqrt(jnp.maximum(squares, jnp.finfo(points.dtype).tiny))


def seed_centroids(key: Array, points: Array, clusters: int) -> Array:
    """Choose initial centroids by k-means++ (Arthur and Vassilvitskii, SODA 2007).

    The first centroid is a uniformly chosen point. Each further one is a point chosen with a
    probability proportional to its squared distance from the nearest centroid so far; if all
    distances are 0, uniformly.

    Args:
      key: PRNG key.
      points: points (n, P), floating point.
      clusters: number of centroids K, at least 1.

    Returns:
      The centroids, (K, P).
    """
    draws = jax.random.uniform(key, (clusters,), points.dtype)

    def measure(index: Array) -> Array:
        # By difference, not by matrix product: a chosen point has the distance 0 exactly.
        return jnp.sum((points - points[index]) ** 2, -1)

    def choose(weights: Array, draw: Array) -> Array:
        sums = jnp.cumsum(weights)
        # Rounding can put the threshold at the very end, hence the minimum.
        return jnp.minimum(jnp.sum(sums <= draw * sums[-1]), points.shape[0] - 1)

    def add(nearest: Array, draw: Array) -> tuple[Array, Array]:
        weights = jnp.where(jnp.any(nearest > 0), nearest, jnp.ones_like(nearest))
        index = choose(weights, draw)
        return jnp.minimum(nearest, measure(index)), index

    first = choose(jnp.ones_like(points[:, 0]), draws[0])
    _, others = jax.lax.scan(add, measure(first), draws[1:])
    return points[jnp.concatenate([first[None], others])]


def assign(points: Array, centroids: Array) -> tuple[Array, Array]:
    """Find each point's nearest centroid, the first one in a tie.

    Args:
      points: points (n, P).
      centroids: centroids (K, P).

    Returns:
      ``(labels, scores)``: the (n,) int32 indices, and the (n,) values of |c|² − 2·c·x for the
      nearest centroid c, which is the squared distance minus |x|².
    """
    # (K, n) rather than (n, K): K is small, so that minima over the leading axis vectorise.
    products = jnp.matmul(centroids, points.T, precision="highest")
    scores = jnp.sum(centroids * centroids, -1, keepdims=True) - 2 * products
    return jnp.argmin(scores, 0).astype(jnp.int32), jnp.min(scores, 0)


def kmeans(
    key: Array,
    points: Array,
    clusters: int,
    *,
    iterations: int = 20,
    start: Array | None = None,
) -> KMeans:
    """Cluster points by Lloyd's algorithm with a fixed number of iterations.

    Every iteration assigns the points to their nearest centroids and moves each centroid to the
    mean of its points. The j-th cluster without points splits the j-th largest one in two: its
    centroid moves to that cluster's, plus a small random shift. This happens after every
    iteration, including the last. A cluster can remain empty if there are fewer distinct points
    than clusters.

    Args:
      key: PRNG key of the seeding and of the splits.
      points: points (n, P), floating point. Distances are computed as |x|² − 2·c·x + |c|², so
        that the points should not be far from the origin compared to their spread.
      clusters: number of clusters K, at least 1.
      iterations: number of Lloyd iterations, at least 0.
      start: initial centroids (K, P); None chooses them by :func:`seed_centroids`.

    Returns:
      Centroids after the last iteration, with the labels that belong to them.
    """
    key_seed, key_split = jax.random.split(key)
    centroids = seed_centroids(key_seed, points, clusters) if start is None else start
    spread = jnp.mean(jnp.sum(points * points, -1))

    def measure_inertia(scores: Array) -> Array:
        return jnp.maximum(spread + jnp.mean(scores), 0)  # rounding can give −1e-8

    def iterate(centroids: Array, index: Array) -> tuple[Array, None]:
        labels, scores = assign(points, centroids)
        members = labels == jnp.arange(clusters, dtype=jnp.int32)[:, None]
        counts = jnp.sum(members, 1, dtype=jnp.int32)
        sums = jnp.matmul(members.astype(points.dtype), points, precision="highest")
        means = sums / jnp.maximum(counts, 1).astype(points.dtype)[:, None]
        # New random shifts each time: along one in which a cluster has no extent, it cannot split.
        shifts = jax.random.normal(jax.random.fold_in(key_split, index), points.shape[1:])
        length = _SPLIT * jnp.sqrt(measure_inertia(scores))
        return _split_largest(means, counts, length * normalise(shifts.astype(points.dtype))), None

    centroids, _ = jax.lax.scan(iterate, centroids, jnp.arange(iterations))
    labels, scores = assign(points, centroids)
    return KMeans(centroids, labels, measure_inertia(scores))


def _split_largest(means: Array, counts: Array, shift: Array) -> Array:
    """Replace the centroids of empty clusters.

    Args:
      means: centroids (K, P); those of empty clusters are arbitrary.
      counts: numbers of points (K,).
      shift: vector (P,) from a split cluster's centroid to the new one.
    """
    empty = counts == 0
    largest = jnp.argsort(-counts)  # stable: the first of equally large clusters is split first
    donors = largest[jnp.cumsum(empty) - 1]
    # With more empty clusters than others, the last donors are empty themselves. Several centroids
    # then get the same place, and the next iteration splits for those that remain empty.
    donors = jnp.where(counts[donors] > 0, donors, largest[0])
    return jnp.where(empty[:, None], means[donors] + shift, means)
