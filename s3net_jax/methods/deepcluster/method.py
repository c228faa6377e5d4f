"""DeepCluster as a method: a step of a fit is a round of clustering and training.

Caron, Bojanowski, Joulin and Douze, "Deep Clustering for Unsupervised Learning of Visual Features",
ECCV 2018, cluster images of a data set. Clustering pixels instead follows the baseline of Cho,
Mall, Bala and Hariharan, "PiCIE", CVPR 2021. Training on a single image, with a network of few
layers and few clusters is our adaptation.
"""

from __future__ import annotations

from typing import Any, cast

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import Array

from s3net_jax.config import Config, DeepClusterConfig
from s3net_jax.methods.base import Shape
from s3net_jax.methods.clustering import KMeans, kmeans, measure_whitening, normalise, whiten
from s3net_jax.methods.deepcluster.augment import augment
from s3net_jax.methods.deepcluster.loss import balanced_cross_entropy, weigh_classes
from s3net_jax.methods.deepcluster.network import DeepClusterNet
from s3net_jax.methods.deepcluster.training import descend, make_optimizer, renew_head
from s3net_jax.methods.inputs import Forward, Hyper, StepInputs
from s3net_jax.nn.layers import exclude_pallas
from s3net_jax.nn.options import get_implementation

__all__ = [
    "build_network",
    "compute_logits",
    "compute_objective",
    "get_settings",
    "make_sgd",
    "run_round",
]


def build_network(config: Config, shape: Shape, rngs: nnx.Rngs) -> DeepClusterNet:
    """Make the network for images of ``shape`` (H, W, C)."""
    model = config.model
    return DeepClusterNet(
        shape[2],
        model.channels,
        model.blocks,
        get_settings(config).clusters,
        dtype=model.dtype,
        implementation=get_implementation(model),
        rngs=rngs,
    )


def cluster_features(key: Array, features: Array, settings: DeepClusterConfig) -> KMeans:
    """Cluster the pixels of all images by their whitened, normalised principal components.

    Args:
      key: PRNG key of k-means.
      features: features (N, H, W, D), in float32 or float64.
      settings: numbers of clusters, components and iterations.

    Returns:
      The clusters, with ``labels`` (N, H, W); no gradient.
    """
    points = jax.lax.stop_gradient(features).reshape(-1, features.shape[-1])
    points = normalise(whiten(points, measure_whitening(points, settings.components)))
    result = kmeans(key, points, settings.clusters, iterations=settings.iterations)
    return result._replace(labels=result.labels.reshape(features.shape[:-1]))


def compute_objective(model: DeepClusterNet, inputs: StepInputs, config: Config) -> Forward:
    """Compute the class-balanced cross entropy of the present head with fresh pseudo labels."""
    assert inputs.key is not None
    features = model.encode(inputs.images)
    found = cluster_features(inputs.key, features.astype(inputs.images.dtype), get_settings(config))
    logits = model.head(features)
    weights = weigh_classes(found.labels, logits.shape[-1], inputs.images.dtype)
    implementation = exclude_pallas(model.head.implementation)
    ce = balanced_cross_entropy(logits, found.labels, weights, implementation)
    return _make_forward(inputs, found, ce, logits)


def run_round(
    graph: nnx.GraphDef, params: Any, state: Any, inputs: StepInputs, config: Config
) -> tuple[Any, Any, Forward]:
    """Cluster the features, draw a new head, and run some SGD steps on the clusters.

    Args:
      graph: graph definition of the network.
      params: parameters of the network.
      state: state of :func:`make_sgd`.
      inputs: images, dynamic numbers and the key of this step.
      config: static configuration.

    Returns:
      Parameters and optimiser state after the round. Labels are the clusters, from before the
      first SGD step; the loss and the logits are from before the last one, because those of the
      first one belong to a random head.
    """
    assert inputs.key is not None
    settings, images = get_settings(config), inputs.images
    key_cluster, key_head, key_views = jax.random.split(inputs.key, 3)
    features = nnx.merge(graph, params).encode(images).astype(images.dtype)
    found = cluster_features(key_cluster, features, settings)
    weights = weigh_classes(found.labels, settings.clusters, images.dtype)
    optimizer = make_sgd(inputs.hyper, config)

    def train(carry: Any, key: Array) -> tuple[Any, None]:
        params, state, _, _ = carry
        views, labels = augment(
            key, images, found.labels, flip=settings.flip, jitter=settings.jitter
        )
        return descend(
            graph, params, state, optimizer, views, labels, weights, inputs.hyper.weight_ce
        ), None

    params = renew_head(key_head, graph, params)
    logits = jax.eval_shape(lambda: nnx.merge(graph, params)(images))
    start = (params, state, jnp.zeros((), _widen(logits)), jnp.zeros(logits.shape, logits.dtype))
    keys = jax.random.split(key_views, settings.inner)
    (params, state, ce, logits), _ = jax.lax.scan(train, start, keys)
    return params, state, _make_forward(inputs, found, ce, logits)


def compute_logits(model: DeepClusterNet, images: Array, config: Config) -> Array:
    """Compute the last head's logits (N, H, W, K) of images (N, H, W, C).

    The final label map is their argmax, and not another k-means of the final features: the head is
    a function of the parameters only, without a random seed, so that it also serves other images;
    and its logits rank clusters at each pixel, as the choice of a target needs.
    """
    del config
    return model(images)


def make_sgd(hyper: Hyper, config: Config) -> optax.GradientTransformation:
    """Make the optimiser with the dynamic numbers of a fit."""
    del config
    return make_optimizer(hyper.learning_rate, hyper.momentum, hyper.own["weight_decay"])


def _make_forward(inputs: StepInputs, found: KMeans, ce: Array, logits: Array) -> Forward:
    ce = ce.astype(inputs.images.dtype)
    terms = {"ce": ce, "inertia": found.inertia}
    return Forward(inputs.hyper.weight_ce * ce, terms, found.labels, logits)


def _widen(logits: jax.ShapeDtypeStruct) -> Any:
    return jnp.promote_types(logits.dtype, jnp.float32)


def get_settings(config: Config) -> DeepClusterConfig:
    """Return the settings of the method."""
    return cast(DeepClusterConfig, config.method)
