"""DeepCluster on a data set: the pixels of all images share their clusters.

Each round measures whitening and centroids on a random sample of all images' pixels, as the
baseline of PiCIE does (Cho et al., CVPR 2021), labels every pixel by its nearest centroid, and
trains on batches of images. Every image is normalised by its own statistics, in training and in
prediction, so that the prediction for an image does not depend on a batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from s3net_jax.checks import check_size
from s3net_jax.config import Config
from s3net_jax.methods.clustering import (
    KMeans,
    assign,
    kmeans,
    measure_whitening,
    normalise,
    whiten,
)
from s3net_jax.methods.deepcluster.augment import augment
from s3net_jax.methods.deepcluster.loss import weigh_classes
from s3net_jax.methods.deepcluster.method import build_network, get_settings, make_sgd
from s3net_jax.methods.deepcluster.training import descend, renew_head
from s3net_jax.methods.inputs import Hyper
from s3net_jax.nn.draws import build_from_pool
from s3net_jax.nn.layers import get_param_dtype
from s3net_jax.nn.precision import set_product_precision

__all__ = ["cluster_images", "fit_images"]


def fit_images(
    key: Array,
    images: Array,
    config: Config,
    *,
    batch: int = 8,
    sample: int = 1024,
    progress: Callable[[int, dict[str, Array]], Any] | None = None,
) -> nnx.State:
    """Fit one network to many images.

    Args:
      key: PRNG key.
      images: prepared images (N, H, W, C) in [0, 1].
      config: configuration; ``fit.steps`` is the number of rounds, ``method.inner`` the number of
        passes over the images in a round.
      batch: number of images in an SGD step, at least 1; the last batch of a pass is filled with
        further images, chosen at random.
      sample: number of pixels of each image that are clustered, at least 1, drawn with
        replacement; all pixels if an image has no more. With 1024, the sample of 200 images with
        100 features takes 80 MB.
      progress: function called as ``progress(round, {"loss": ..., "ce": ..., "inertia": ...})``
        after every round, with the mean loss of the last pass.

    Returns:
      The parameters of the network.

    Raises:
      ValueError: images of another rank, no image, or a size below 1.
    """
    batch, sample = check_size("batch", batch), check_size("sample", sample)
    if images.ndim != 4 or not images.size:
        raise ValueError(f"images must have the shape (N, H, W, C), got {images.shape}.")
    key_init, key_rounds = jax.random.split(key)
    images = jnp.asarray(images, get_param_dtype(config.model.dtype))
    params = _draw_params(key_init, images.shape[1:], config)
    state = make_sgd(_make_hyper(config), config).init(params)
    for step in range(config.fit.steps):
        params, state, record = _run_round(
            jax.random.fold_in(key_rounds, step),
            params,
            state,
            images,
            config,
            min(batch, len(images)),
            sample,
        )
        if progress is not None:
            progress(step, record)
    return params


def cluster_images(
    key: Array, params: nnx.State, images: Array, config: Config, sample: int = 1024
) -> KMeans:
    """Cluster a sample of the images' pixels, and label every pixel by the nearest centroid.

    Args:
      key: PRNG key of sample and k-means.
      params: parameters of the network.
      images: images (N, H, W, C) in [0, 1], in the parameters' dtype.
      config: configuration.
      sample: number of pixels of each image that are clustered.

    Returns:
      The clusters of the sample, with the ``labels`` (N, H, W) of all pixels.
    """
    settings = get_settings(config)
    key_sample, key_cluster = jax.random.split(key)
    model = nnx.merge(_make_graph(images, config), params)

    # One image at a time, twice: the features of all images would not fit in memory.
    def encode(image: Array) -> Array:
        features = model.encode(image[None])[0].astype(images.dtype)
        return features.reshape(-1, features.shape[-1])

    def draw(inputs: tuple[Array, Array]) -> Array:
        key, points = inputs[0], encode(inputs[1])
        if sample >= len(points):
            return points
        return points[jax.random.randint(key, (sample,), 0, len(points))]

    def label(image: Array) -> Array:
        points = normalise(whiten(encode(image), whitening))
        return assign(points, found.centroids)[0].reshape(image.shape[:2])

    drawn = jax.lax.map(draw, (jax.random.split(key_sample, len(images)), images))
    points = drawn.reshape(-1, drawn.shape[-1])
    whitening = measure_whitening(points, settings.components)
    points = normalise(whiten(points, whitening))
    found = kmeans(key_cluster, points, settings.clusters, iterations=settings.iterations)
    return found._replace(labels=jax.lax.map(label, images))


@partial(jax.jit, static_argnums=(4, 5, 6))
def _run_round(
    key: Array,
    params: Any,
    state: Any,
    images: Array,
    config: Config,
    batch: int,
    sample: int,
) -> tuple[Any, Any, dict[str, Array]]:
    """Cluster, draw a new head, and pass ``method.inner`` times over the images."""
    settings, graph = get_settings(config), _make_graph(images, config)
    hyper = _make_hyper(config)
    optimizer = make_sgd(hyper, config)
    key_label, key_head, key_order, key_views = jax.random.split(key, 4)

    with set_product_precision(config.model):
        found = cluster_images(key_label, params, images, config, sample)
        labels = found.labels
        weights = weigh_classes(labels, settings.clusters, images.dtype)

        def train(carry: Any, inputs: tuple[Array, Array]) -> tuple[Any, Array]:
            (params, state), (key, chosen) = carry, inputs
            views, given = augment(
                key, images[chosen], labels[chosen], flip=settings.flip, jitter=settings.jitter
            )
            params, state, ce, _ = descend(
                graph, params, state, optimizer, views, given, weights, hyper.weight_ce
            )
            return (params, state), ce

        order = _draw_batches(key_order, len(images), batch, settings.inner)
        keys = jax.random.split(key_views, len(order))
        start = (renew_head(key_head, graph, params), state)
        (params, state), losses = jax.lax.scan(train, start, (keys, order))
    ce = jnp.mean(losses[-(len(order) // settings.inner) :])
    record = {"loss": hyper.weight_ce * ce, "ce": ce, "inertia": found.inertia}
    return params, state, record


def _draw_batches(key: Array, count: int, batch: int, passes: int) -> Array:
    """Draw the order of the images: (passes · ⌈count/batch⌉, batch) indices in 0..count−1."""
    rows = math.ceil(count / batch)

    def draw(key: Array) -> Array:
        key_order, key_more = jax.random.split(key)
        order = jax.random.permutation(key_order, count)
        more = jax.random.permutation(key_more, count)[: rows * batch - count]
        return jnp.concatenate([order, more]).reshape(rows, batch)

    return jax.vmap(draw)(jax.random.split(key, passes)).reshape(-1, batch)


def _make_hyper(config: Config) -> Hyper:
    fit, decay = config.fit, get_settings(config).weight_decay
    own: dict[str, float | Array] = {"weight_decay": decay}
    return Hyper(config.loss.weight_ce, 0.0, 0.0, fit.learning_rate, fit.momentum, own)


@partial(jax.jit, static_argnums=(1, 2))
def _draw_params(key: Array, shape: tuple[int, int, int], config: Config) -> nnx.State:
    build = partial(build_network, config, shape)
    return nnx.state(build_from_pool(build, key), nnx.Param)


def _make_graph(images: Array, config: Config) -> nnx.GraphDef:
    """Build the graph definition of the network for images (N, H, W, C), without parameters."""
    shape = images.shape[1], images.shape[2], images.shape[3]

    def build() -> nnx.Module:
        return build_network(config, shape, nnx.Rngs(params=0))

    return nnx.split(nnx.eval_shape(build), nnx.Param)[0]
