"""A custom method, as a researcher would write it: a linear map, cross entropy, total
variation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp
from flax import nnx
from jax import Array

import s3net_jax as s3
from s3net_jax.methods import Forward, Method, StepInputs, register_method


@dataclass(frozen=True)
class SmoothConfig(s3.MethodConfig):
    name: str = "total-variation"
    weight_variation: float = 0.5
    weights: ClassVar[tuple[str, ...]] = ("weight_variation",)


class Network(nnx.Module):
    def __init__(self, config: s3.Config, shape: tuple[int, int, int], rngs: nnx.Rngs) -> None:
        self.map = s3.nn.Pointwise(shape[2], config.model.channels, rngs=rngs)
        self.norm = s3.nn.BatchNorm(config.model.channels)

    def __call__(self, images: Array) -> Array:
        return self.map.normalised(self.norm, images)


def compute_objective(network: Network, inputs: StepInputs, config: Any) -> Forward:
    logits = network(inputs.images)
    labels = s3.losses.pseudo_label(logits)
    ce = s3.losses.cross_entropy(logits, labels)
    variation = jnp.abs(jnp.diff(logits, axis=1)).mean() + jnp.abs(jnp.diff(logits, axis=2)).mean()
    weights = inputs.hyper
    loss = weights.weight_ce * ce + weights.own["weight_variation"] * variation
    return Forward(loss, {"ce": ce, "variation": variation}, labels, logits)


METHOD = Method(
    config=SmoothConfig,
    build=Network,
    objective=compute_objective,
    compute_logits=lambda network, images, config: network(images),
    terms=("ce", "variation"),
)
register_method(METHOD)
