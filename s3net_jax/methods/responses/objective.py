"""The cross entropy of responses, and the objective that SGSCN and DFC share."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from s3net_jax.config import Config
from s3net_jax.methods.inputs import Forward, StepInputs
from s3net_jax.methods.responses.losses import compute_continuity
from s3net_jax.methods.responses.network import ResponseNet
from s3net_jax.nn.layers import exclude_pallas
from s3net_jax.nn.options import get_implementation
from s3net_kernels import softmax_losses

__all__ = ["compute_continuity_objective", "compute_label_loss"]


def compute_continuity_objective(
    model: ResponseNet, inputs: StepInputs, config: Config, valid: Array | None = None
) -> Forward:
    """Compute weight_ce·L_ce + weight_continuity·L_continuity.

    The objective of DFC (Kim, Kanezaki and Tanaka, IEEE TIP 29, 2020). L_ce is the cross entropy of
    the responses with their own argmax, L_continuity is :func:`compute_continuity`.

    Args:
      model: network.
      inputs: images (N, H, W, C), and weights.
      config: configuration of the fit.
      valid: (N, H, W) bool, the pixels of L_ce; None for all.
    """
    responses = model(inputs.images)
    ce, labels = compute_label_loss(responses, None, config, valid)
    continuity = compute_continuity(responses)
    hyper = inputs.hyper
    loss = hyper.weight_ce * ce + hyper.own["weight_continuity"] * continuity
    return Forward(loss, {"ce": ce, "continuity": continuity}, labels, responses)


def compute_label_loss(
    responses: Array, labels: Array | None, config: Config, valid: Array | None = None
) -> tuple[Array, Array]:
    """Compute the mean cross entropy over pixels, and return the labels used.

    Args:
      responses: responses (N, H, W, K), of which the softmax gives the probabilities.
      labels: (N, H, W) int32 labels; None for the argmax, which costs no further pass.
      config: configuration with the implementation of the operator.
      valid: (N, H, W) bool, the pixels of the mean; None for all.

    Returns:
      The () loss, 0 without valid pixels, and the (N, H, W) int32 labels.
    """
    implementation = exclude_pallas(get_implementation(config.model))
    if valid is None:
        result = softmax_losses(responses, labels, implementation=implementation)
        return result.cross_entropy / result.labels.size, result.labels
    weight = valid.astype(jnp.promote_types(responses.dtype, jnp.float32))
    result = softmax_losses(responses, labels, weight, implementation=implementation)
    return result.cross_entropy / jnp.maximum(jnp.sum(weight), 1), result.labels
