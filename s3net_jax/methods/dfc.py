"""DFC: differentiable feature clustering (Kim, Kanezaki and Tanaka, IEEE TIP 29, 2020)."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from s3net_jax.config import Config, DFCConfig
from s3net_jax.methods.base import Method
from s3net_jax.methods.inputs import Forward, StepInputs
from s3net_jax.methods.responses import (
    ResponseNet,
    build_network,
    compute_continuity_objective,
    compute_label_loss,
    compute_responses,
    count_scribble_classes,
    read_scribbles,
)
from s3net_jax.methods.trunk import count_values

__all__ = ["METHOD"]


def compute_objective(model: ResponseNet, inputs: StepInputs, config: Config) -> Forward:
    """Compute weight_ce·L_ce + weight_continuity·L_continuity, and weight·L_scribble if given.

    With scribbles, as with ``--scribble`` of the released code, L_ce is the cross entropy of the
    unmarked pixels with their own argmax, and L_scribble that of the marked pixels with their
    classes; each is a mean over its pixels, or 0 without any. The weight is part of the data.
    """
    if inputs.data is None:
        return compute_continuity_objective(model, inputs, config)
    marks = inputs.data["scribbles"]
    result = compute_continuity_objective(model, inputs, config, valid=marks < 0)
    classes = jnp.maximum(marks, 0)
    scribble, _ = compute_label_loss(result.logits, classes, config, valid=marks >= 0)
    loss = result.loss + jnp.mean(inputs.data["weight"]) * scribble
    return Forward(loss, {**result.terms, "scribble": scribble}, result.labels, result.logits)


def count_stop_labels(inputs: StepInputs, config: Config) -> Array | int:
    """Return the number of scribbled classes, at which the released code stops.

    Without scribbles it is ``fit.stop_labels``.
    """
    if inputs.data is None:
        return config.fit.stop_labels
    count = count_scribble_classes(inputs.data["scribbles"], config.model.channels)
    return jnp.where(count > 0, count, config.fit.stop_labels)


METHOD = Method(
    config=DFCConfig,
    build=build_network,
    objective=compute_objective,
    compute_logits=compute_responses,
    terms=("ce", "continuity"),
    data_terms=("scribble",),
    read_data=read_scribbles,
    count_stop_labels=count_stop_labels,
    count_values=count_values,
)
