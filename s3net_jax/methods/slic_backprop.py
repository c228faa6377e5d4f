"""Backpropagation with superpixel refinement (Kanezaki, ICASSP 2018)."""

from __future__ import annotations

import numpy as np

from s3net_jax.config import Config, SLICBackpropConfig
from s3net_jax.losses import pseudo_label
from s3net_jax.methods.base import Method
from s3net_jax.methods.inputs import Forward, StepInputs
from s3net_jax.methods.responses import (
    ResponseNet,
    assign_majority,
    build_network,
    compute_label_loss,
    compute_responses,
    find_superpixels,
)
from s3net_jax.methods.trunk import count_values

__all__ = ["METHOD"]


def prepare(image: np.ndarray, config: Config) -> dict[str, np.ndarray]:
    """Compute ``superpixels``, (H, W) int32, of the prepared image (H, W, C)."""
    method = config.method
    assert isinstance(method, SLICBackpropConfig)
    return {"superpixels": find_superpixels(image, method.superpixels, method.compactness)}


def compute_objective(model: ResponseNet, inputs: StepInputs, config: Config) -> Forward:
    """Compute weight_ce times the cross entropy with the majority label of each superpixel.

    The returned labels, from which an early stop counts, are the argmax before this refinement.

    Raises:
      ValueError: ``inputs`` has no superpixels.
    """
    if inputs.data is None:
        raise ValueError(
            "data is None, but slic-backprop needs superpixels: pass "
            "s3net_jax.prepare_data(image, config)."
        )
    responses = model(inputs.images)
    labels = pseudo_label(responses)
    refined = assign_majority(labels, inputs.data["superpixels"], responses.shape[-1])
    ce = compute_label_loss(responses, refined, config)[0]
    return Forward(inputs.hyper.weight_ce * ce, {"ce": ce}, labels, responses)


METHOD = Method(
    config=SLICBackpropConfig,
    build=build_network,
    objective=compute_objective,
    compute_logits=compute_responses,
    terms=("ce",),
    prepare=prepare,
    count_values=count_values,
)
