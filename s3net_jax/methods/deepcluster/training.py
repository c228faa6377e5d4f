"""The parts of a round that one image and a data set share: optimiser, fresh head, SGD step."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import Array

from s3net_jax.methods.deepcluster.loss import balanced_cross_entropy
from s3net_jax.methods.deepcluster.network import DeepClusterNet
from s3net_jax.nn.layers import exclude_pallas

__all__ = ["descend", "make_optimizer", "renew_head"]

# The head starts from N(0, 0.01), as the top layer of the published method.
_HEAD_DEVIATION = 0.01


def make_optimizer(
    learning_rate: Any, momentum: Any, weight_decay: Any
) -> optax.GradientTransformation:
    """Make SGD with momentum and weight decay; the head is trained without momentum.

    The published method gives the top layer a separate optimiser without momentum. Nothing
    then has to be reset when the layer is drawn again.

    Args:
      learning_rate: learning rate of all parameters, may be traced.
      momentum: momentum of all parameters but the head's, may be traced.
      weight_decay: factor of the parameters that is added to their gradients, may be traced.
    """

    def name_groups(params: Any) -> Any:
        return jax.tree_util.tree_map_with_path(
            lambda path, _: "head" if path[0].key == "head" else "trunk", params
        )

    decay = optax.add_decayed_weights(weight_decay)
    return optax.multi_transform(
        {
            "trunk": optax.chain(decay, optax.sgd(learning_rate, momentum)),
            "head": optax.chain(decay, optax.sgd(learning_rate)),
        },
        name_groups,
    )


def renew_head(key: Array, graph: nnx.GraphDef, params: nnx.State) -> nnx.State:
    """Return parameters with a new head: its kernel drawn from N(0, 0.01), its bias 0."""
    copy = jax.tree.map(lambda leaf: leaf, params)  # new variables, which may be written to
    model: DeepClusterNet = nnx.merge(graph, copy)
    kernel, bias = model.head.kernel, model.head.bias
    assert bias is not None
    draws = jax.random.normal(key, kernel.shape, jnp.float32) * _HEAD_DEVIATION
    kernel[...] = draws.astype(kernel.dtype)
    bias[...] = jnp.zeros_like(bias[...])
    return nnx.state(model, nnx.Param)


def descend(
    graph: nnx.GraphDef,
    params: nnx.State,
    state: optax.OptState,
    optimizer: optax.GradientTransformation,
    images: Array,
    labels: Array,
    weights: Array,
    weight_ce: float | Array = 1.0,
) -> tuple[nnx.State, optax.OptState, Array, Array]:
    """Run one SGD step on the class-balanced cross entropy with given pseudo labels.

    Args:
      graph: graph definition of :class:`DeepClusterNet`.
      params: parameters of the network.
      state: state of ``optimizer``.
      optimizer: optimiser, from :func:`make_optimizer`.
      images: images (N, H, W, C) in [0, 1].
      labels: pseudo labels (N, H, W) int32.
      weights: weights of the classes (K,).
      weight_ce: factor of the loss in the gradient.

    Returns:
      ``(params, state, ce, logits)``: updated parameters and state; the () cross entropy, without
      ``weight_ce``, and the (N, H, W, K) logits before the update.
    """

    def compute_loss(params: nnx.State) -> tuple[Array, tuple[Array, Array]]:
        model: DeepClusterNet = nnx.merge(graph, params)
        logits = model(images)
        how = exclude_pallas(model.head.implementation)
        ce = balanced_cross_entropy(logits, labels, weights, how)
        return weight_ce * ce, (ce, logits)

    gradient, (ce, logits) = jax.grad(compute_loss, has_aux=True)(params)
    change, state = optimizer.update(gradient, state, params)
    params = optax.apply_updates(params, change)  # pyright: ignore[reportAssignmentType]
    return params, state, ce, logits
