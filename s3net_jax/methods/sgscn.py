"""SGSCN: spatially guided self-supervised clustering (Ahn, Feng and Kim, MICCAI 2021)."""

from __future__ import annotations

import jax.numpy as jnp

from s3net_jax.config import Config, SGSCNConfig
from s3net_jax.methods.base import Method
from s3net_jax.methods.inputs import Forward, StepInputs
from s3net_jax.methods.responses import (
    ResponseNet,
    build_network,
    compute_center_term,
    compute_continuity_objective,
    compute_responses,
)
from s3net_jax.methods.trunk import count_values

__all__ = ["METHOD"]


def compute_objective(model: ResponseNet, inputs: StepInputs, config: Config) -> Forward:
    """Compute weight_ce·L_ce + weight_continuity·L_continuity + weight_center·L_center.

    L_ce is the cross entropy of the responses with their own argmax. The term ``center`` is 0 with
    ``method.center="off"``, as in the released code's default.
    """
    method = config.method
    assert isinstance(method, SGSCNConfig)
    result = compute_continuity_objective(model, inputs, config)
    if method.center == "off":
        center, loss = jnp.zeros_like(result.loss), result.loss
    else:
        center = compute_center_term(result.logits, softmax=method.center == "softmax")
        loss = result.loss + inputs.hyper.own["weight_center"] * center
    return Forward(loss, {**result.terms, "center": center}, result.labels, result.logits)


METHOD = Method(
    config=SGSCNConfig,
    build=build_network,
    objective=compute_objective,
    compute_logits=compute_responses,
    terms=("ce", "continuity", "center"),
    count_values=count_values,
)
