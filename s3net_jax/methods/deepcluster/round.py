"""One round of DeepCluster on one image: cluster the features, then train on the clusters."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import Array

from s3net_jax.methods.clustering import KMeans, kmeans, measure_whitening, normalise, whiten

__all__ = ["cluster_features"]


def cluster_features(
    key: Array, features: Array, clusters: int, components: int, iterations: int
) -> KMeans:
    """Cluster the pixels of all images by whitened, normalised principal components.

    Args:
      key: PRNG key of k-means.
      features: features (N, H, W, D).
      clusters: number of clusters, K.
      components: number of principal components, at most D.
      iterations: number of Lloyd iterations.

    Returns:
      The clusters; ``labels`` are (N, H, W) int32. No gradient.
    """
    points = jax.lax.stop_gradient(features).reshape(-1, features.shape[-1])
    points = normalise(whiten(points, measure_whitening(points, components)))
    result = kmeans(key, points, clusters, iterations=iterations)
    return result._replace(labels=result.labels.reshape(features.shape[:-1]))
