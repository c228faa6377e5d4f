"""Train one network on all images of a folder, and segment images with it.

Methods such as IIC and DeepCluster were published for data sets: training sees many images, and the
trained network labels new ones without further steps.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.typing import ArrayLike

from s3net_jax.checks import check_size
from s3net_jax.config import Config, FitConfig, check_config
from s3net_jax.fitting.checks import (
    check_image,
    check_listener,
    read_hyper,
    read_keys,
    read_pixels,
)
from s3net_jax.fitting.data import read_data
from s3net_jax.fitting.hyper import hyperparameters, static_config
from s3net_jax.fitting.initial import initial_params, read_params
from s3net_jax.fitting.progress import Progress, report, run_with_listener
from s3net_jax.fitting.step import begin, make_graph, train_step
from s3net_jax.jax_setup import use_default_settings
from s3net_jax.methods import Hyper, StepInputs, get_method
from s3net_jax.nn.layers import get_param_dtype
from s3net_jax.nn.precision import set_product_precision

__all__ = ["fit_dataset", "predict"]

_BATCH = 8
"""Default number of images in a step: at 128 pixels it fits in the memory of any machine, and it is
large enough for batch statistics that differ little between steps."""


@use_default_settings()
def fit_dataset(
    key: Array,
    images: ArrayLike,
    config: Config,
    *,
    batch: int | None = None,
    keep_steps: bool = False,
    progress: Progress | None = None,
) -> Any:
    """Train the network of a method on many images of the same size.

    Each of ``fit.steps`` steps takes a mini-batch. The images are shuffled again for every epoch,
    which passes over all of them once except the last few that do not fill a mini-batch. The
    function is pure, and JAX compiles one program for each shape, size of mini-batches and static
    configuration. ``fit.stop_labels``, ``fit.members`` and ``fit.record_labels`` apply only to fits
    of single images.

    Args:
      key: PRNG key for the initial parameters, the order of the images, and random augmentations.
      images: (N, H, W, C) floating point in [0, 1], each as :func:`s3net_jax.prepare` returns it.
      config: static configuration of any method.
      batch: number of images in a mini-batch, at most N; None takes 8, or N if that is fewer.
      keep_steps: whether to return the parameters after every step.
      progress: function called on the host as ``progress(step, {"loss": ..., ...})`` after every
        step.

    Returns:
      Trained parameters, a state of the method's network, for :func:`predict` and
      :func:`save_params`. With ``keep_steps``, every array has a leading axis of ``fit.steps``.

    Raises:
      ValueError: an argument has the wrong shape, ``batch`` is not in 1..N, or ``keep_steps`` is
        set for a method that does not train by steps on mini-batches.
      TypeError: an argument has the wrong type, such as images of integers.
    """
    check_config(config)
    wide = get_param_dtype(config.model.dtype)
    images = read_pixels(images, wide)
    if images.ndim != 4 or images.shape[0] == 0:
        raise ValueError(
            f"fit_dataset takes at least one image, (N, H, W, C), got the shape {images.shape}."
        )
    check_image(images.shape[1:], config)
    key = read_keys(key)
    if key.shape != ():
        raise ValueError(f"fit_dataset takes one key, not keys of the shape {key.shape}.")
    count = images.shape[0]
    size = min(_BATCH, count) if batch is None else check_size("batch", batch)
    if size > count:
        raise ValueError(f"batch must be at most the number of images, {count}, got {size}.")
    check_listener(progress)
    own = get_method(config.method.name).fit_images
    if own is not None:
        if keep_steps:
            raise ValueError(
                f"The method {config.method.name} trains in its own way: drop keep_steps."
            )
        tell = None if progress is None else _count_from_one(progress)
        return own(key, images, config, batch=size, progress=tell)
    hyper, data = read_hyper(hyperparameters(config), wide), read_data(None, images, config)
    static = static_config(config)
    if progress is None:
        return _train(key, images, hyper, data, static, size, None, keep_steps).params

    def run(number: Any) -> _Trained:
        return _train(key, images, hyper, data, static, size, number, keep_steps)

    return run_with_listener(progress, run).params


def _count_from_one(progress: Progress) -> Progress:
    """Make a listener for a method that counts steps from 0 and reports arrays."""

    def tell(step: int, record: dict[str, Any]) -> None:
        progress(step + 1, {name: value.item() for name, value in record.items()})

    return tell


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class _Trained:
    params: Any
    steps: Array


@partial(jax.jit, static_argnames=("config", "batch", "keep_steps"))
def _train(
    key: Array,
    images: Array,
    hyper: Hyper,
    data: Any,
    config: Config,
    batch: int,
    listener: Array | None,
    keep_steps: bool,
) -> _Trained:
    """Run all steps; ``data`` has a leading axis of images, or is None."""
    method, count = get_method(config.method.name), images.shape[0]
    graph = make_graph(config, (images.shape[1], images.shape[2], images.shape[3]))
    key_fit, key_order = jax.random.split(key)
    every = count // batch

    def take(chosen: Array) -> tuple[Array, Any]:
        return jax.tree.map(lambda leaf: leaf[chosen], (images, data))

    first, some = take(jnp.arange(batch))
    state = begin(key_fit, StepInputs(first, hyper, data=some), config)

    def step(carry, index):
        params, momentum = carry
        # Shuffling at every step costs far less than a step and needs no state.
        order = jax.random.permutation(jax.random.fold_in(key_order, index // every), count)
        chosen = jax.lax.dynamic_slice(order, (index % every * batch,), (batch,))
        now, some = take(chosen)
        key = jax.random.fold_in(state.key, index)
        inputs = dataclasses.replace(state.inputs, images=now, data=some, key=key, step=index)
        if method.draw is not None:
            inputs = method.draw(inputs, config)
        params, momentum, record, _ = train_step(graph, params, momentum, inputs, config)
        if listener is not None:
            jax.debug.callback(report, listener, index, record, ordered=False)
        return (params, momentum), params if keep_steps else None

    indices = jnp.arange(config.fit.steps, dtype=jnp.int32)
    (params, _), every_step = jax.lax.scan(step, (state.params, state.momentum), indices)
    return _Trained(every_step if keep_steps else params, jnp.int32(config.fit.steps))


@use_default_settings()
def predict(params: Any, image: ArrayLike, config: Config) -> Array:
    """Compute the logits of a trained network for an image.

    Batch normalisation uses the image's own statistics, as in fits of single images.

    Args:
      params: parameters from :func:`fit_dataset`, :func:`load_params`, or a fit.
      image: (H, W, C) floating point in [0, 1], as :func:`s3net_jax.prepare` returns it. Its size
        may differ from that of the training, if the method's network allows it.
      config: configuration of the training.

    Returns:
      Logits (H, W, K) in the parameters' dtype; the label map is their argmax.

    Raises:
      ValueError: the image has the wrong shape, or the parameters belong to another network.
      TypeError: an argument has the wrong type.
    """
    check_config(config)
    image = read_pixels(image, get_param_dtype(config.model.dtype))
    check_image(image.shape, config)
    read = read_params(params, config, (image.shape[0], image.shape[1], image.shape[2]))
    if read is None:
        raise TypeError("params is None, where the parameters of a trained network are expected.")
    # Settings of the training would only compile the same program again.
    static = dataclasses.replace(static_config(config), fit=FitConfig())
    return _predict(read, image, static)


@partial(jax.jit, static_argnames="config")
def _predict(params: Any, image: Array, config: Config) -> Array:
    shape = image.shape[0], image.shape[1], image.shape[2]
    state = jax.eval_shape(lambda: initial_params(jax.random.key(0), config, shape))
    nnx.replace_by_pure_dict(state, params)
    model = nnx.merge(make_graph(config, shape), state)
    with set_product_precision(config.model):
        logits = get_method(config.method.name).compute_logits(model, image[None], config)
    return logits[0].astype(image.dtype)
