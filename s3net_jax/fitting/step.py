"""One SGD step on one image, the unit that :func:`s3net_jax.fit` repeats."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import Array

from s3net_jax.config import Config
from s3net_jax.fitting.hyper import Hyper
from s3net_jax.fitting.objective import objective
from s3net_jax.nn.precision import product_precision

__all__ = ["optimizer", "train_step"]


def optimizer(hyper: Hyper) -> optax.GradientTransformation:
    """SGD with momentum; rate and momentum may be traced."""
    # The stubs want a Python float for the momentum; any scalar works.
    return optax.sgd(hyper.learning_rate, hyper.momentum)  # pyright: ignore[reportArgumentType]


def train_step(
    graph: nnx.GraphDef,
    params: nnx.State,
    momentum: optax.OptState,
    images: Array,
    hyper: Hyper,
    config: Config,
    matrix: Array | None,
    palette: Array,
    extra: Any = None,
) -> tuple[nnx.State, optax.OptState, dict[str, Array], Array]:
    """Loss, gradient and update: one optimisation step.

    Args:
      graph, params: ``nnx.split(S3Net(...), nnx.Param)``.
      momentum: state of ``optimizer(hyper)``.
      images: (N, H, W, 3) in [0, 1].
      hyper: dynamic numbers.
      config: static.
      matrix: (2, 3), this step's transform, or None as for :func:`objective`.
      palette: (K,) grey values in [0, 1], read by the hard spatial loss.
      extra: a further term of the loss, or None.

    Returns:
      The new parameters and momentum; ``loss``, ``ce``, ``affine``, ``spatial``, and ``extra``
      where there is one, () floats, and ``labels``, () int32, of the forward pass before the
      update; its pseudo label, (N, H, W) int32.
    """

    def loss_of(params: nnx.State):
        model = nnx.merge(graph, params)
        return objective(model, images, hyper, config.loss, matrix, palette, extra)

    with product_precision(config.model):
        gradient, (terms, labels) = jax.grad(loss_of, has_aux=True)(params)
    change, momentum = optimizer(hyper).update(gradient, momentum)
    params = optax.apply_updates(params, change)  # pyright: ignore[reportAssignmentType]
    return params, momentum, {**terms, "labels": _count(labels, config.model.channels)}, labels


def _count(labels: Array, channels: int) -> Array:
    """Number of distinct values of ``labels``, all in 0..channels−1."""
    # A bit for each, in words of 32: comparing each pixel with each value took longer.
    words = jnp.arange(-(-channels // 32), dtype=jnp.uint32)
    value = labels.reshape(1, -1).astype(jnp.uint32)
    bits = jnp.where(value // 32 == words[:, None], jnp.uint32(1) << value % 32, 0)
    present = jnp.bitwise_or.reduce(bits, axis=1)
    return jnp.sum(jax.lax.population_count(present), dtype=jnp.int32)
