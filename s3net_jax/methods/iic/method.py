"""IIC (invariant information clustering) as a method: two heads, updated in turn.

Ji, Vedaldi and Henriques, "Invariant Information Clustering for Unsupervised Image Classification
and Segmentation", ICCV 2019. They train on a data set, as :func:`s3net_jax.fitting.fit_dataset`
does. Training on random crops of a single image is our adaptation. In both cases, batch
normalisation uses the statistics of its input, in training and in prediction.
"""

from __future__ import annotations

from typing import Any, cast

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import Array

from s3net_jax.config import Config, IICConfig
from s3net_jax.methods.base import Method, Shape
from s3net_jax.methods.iic.loss import information_loss
from s3net_jax.methods.iic.network import MIN_SIDE, Head, IICNet
from s3net_jax.methods.iic.views import align, compute_crop_shape, draw_views
from s3net_jax.methods.inputs import Forward, Hyper, StepInputs
from s3net_jax.nn.layers import exclude_pallas
from s3net_jax.nn.options import get_implementation

__all__ = ["METHOD"]

_HEADS: tuple[Head, Head] = ("a", "b")
"""Order of the updates of a step: published epochs train head A first, then head B."""


def build_network(config: Config, shape: Shape, rngs: nnx.Rngs) -> IICNet:
    """Make the network for images of ``shape`` (H, W, C)."""
    settings, model = _get_settings(config), config.model
    return IICNet(
        shape[2],
        settings.width,
        settings.overclusters,
        model.channels,
        dtype=model.dtype,
        implementation=get_implementation(config.model),
        rngs=rngs,
    )


def compute_head_loss(model: IICNet, inputs: StepInputs, config: Config, head: Head) -> Array:
    """Compute the loss () of a head on random pairs of views, drawn with ``inputs.key``.

    Each head uses separate draws, as in separate passes over a data set. Both views of a pair pass
    through the network separately, each normalised by its own statistics.
    """
    assert inputs.key is not None
    settings, implementation = _get_settings(config), get_implementation(config.model)
    key = jax.random.fold_in(inputs.key, _HEADS.index(head))
    views = draw_views(key, inputs.images, settings, implementation)
    second, valid = align(model(views.second, head), views, implementation)
    return information_loss(
        model(views.first, head),
        second,
        settings.displacement,
        inputs.hyper.own[f"lambda_{head}"],
        valid=valid,
        collapsed=settings.collapsed,
        implementation=exclude_pallas(implementation),
    )


def compute_objective(model: IICNet, inputs: StepInputs, config: Config) -> Forward:
    """Compute the sum of both heads' losses; :func:`run_step` minimises them in turn."""
    losses: dict[Head, Array] = {
        head: compute_head_loss(model, inputs, config, head) for head in _HEADS
    }
    return _make_forward(compute_logits(model, inputs.images, config), losses)


def run_step(
    graph: nnx.GraphDef, params: Any, state: Any, inputs: StepInputs, config: Config
) -> tuple[Any, Any, Forward]:
    """Update the network with the loss of head A, then with that of head B.

    Args:
      graph: graph definition of the network.
      params: parameters of the network.
      state: state of :func:`make_adam`, which both updates share, as published.
      inputs: images, dynamic numbers and the key of this step.
      config: static configuration.

    Returns:
      Parameters and optimiser state after both updates. Labels and logits belong to the whole
      images before the first update; each loss is computed before its head's update, and the loss
      of the step is their sum.
    """
    optimizer = make_adam(inputs.hyper, config)
    logits = compute_logits(nnx.merge(graph, params), inputs.images, config)
    losses: dict[Head, Array] = {}
    for head in _HEADS:

        def compute_loss(params: Any, head: Head = head) -> Array:
            return compute_head_loss(nnx.merge(graph, params), inputs, config, head)

        losses[head], gradient = jax.value_and_grad(compute_loss)(params)
        change, state = optimizer.update(gradient, state, params)
        params = optax.apply_updates(params, change)
    return params, state, _make_forward(logits, losses)


def compute_logits(model: IICNet, images: Array, config: Config) -> Array:
    """Compute logarithms (N, H, W, K) of head B's probabilities for images (N, H, W, C).

    The softmax comes before the upsampling, so these are no logits of the last layer; they differ
    from such by a constant of each pixel, and their softmax is the probability.
    """
    del config
    probabilities = model(images, "b")
    return jnp.log(jnp.maximum(probabilities, jnp.finfo(probabilities.dtype).tiny))


def make_adam(hyper: Hyper, config: Config) -> optax.GradientTransformation:
    """Make Adam; ``fit.momentum`` is its β₁, and β₂ is 0.999, the published default."""
    del config
    # optax accepts any scalar as β₁, but its annotation says float.
    return optax.adam(hyper.learning_rate, b1=hyper.momentum)  # pyright: ignore[reportArgumentType]


def check_shape(shape: Shape, config: Config) -> None:
    """Raise ValueError for an image whose crops are too small for network or displacement."""
    settings = _get_settings(config)
    height, width = compute_crop_shape((shape[0], shape[1]), settings)
    least = max(MIN_SIDE, settings.displacement + 1)
    if min(height, width) < least:
        raise ValueError(
            f"IIC with method.displacement={settings.displacement} needs crops of at least "
            f"{least}×{least} pixels, got {height}×{width} of an image of {shape[0]}×{shape[1]}: "
            "increase input.size or method.crop_side."
        )


def _make_forward(logits: Array, losses: dict[Head, Array]) -> Forward:
    terms = {f"head_{head}": loss for head, loss in losses.items()}
    labels = jnp.argmax(jax.lax.stop_gradient(logits), -1).astype(jnp.int32)
    return Forward(losses["a"] + losses["b"], terms, labels, logits)


def _get_settings(config: Config) -> IICConfig:
    return cast(IICConfig, config.method)


# Feature maps (h, w, width) of each view that a fit of one image holds at its peak in a worker
# process. Two images fitted one after the other with the preset iic-image reach 763 MiB, of which
# 450 MiB are Python and JAX: 70 maps (benchmarks/results/memory-avx512-6-207.json). The rest is a
# margin, because the freed memory that a process keeps depends on how fast its calls follow each
# other.
_PEAK_MAPS = 100


def count_values(config: Config, shape: tuple[int, int]) -> int:
    """Estimate how many numbers a fit of an image (H, W) holds at its peak on a CPU."""
    settings = _get_settings(config)
    height, width = compute_crop_shape(shape, settings)
    return _PEAK_MAPS * 2 * settings.crops * height * width * settings.width


METHOD = Method(
    config=IICConfig,
    build=build_network,
    objective=compute_objective,
    compute_logits=compute_logits,
    terms=("head_a", "head_b"),
    optimizer=make_adam,
    check_shape=check_shape,
    step=run_step,
    count_values=count_values,
)
