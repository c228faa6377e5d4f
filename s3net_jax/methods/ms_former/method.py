"""MS-Former as a method: the network for a configuration, and the weighted sum of its losses."""

from __future__ import annotations

from flax import nnx
from jax import Array

from s3net_jax.config import Config, MSFormerConfig
from s3net_jax.methods.base import Method, Shape
from s3net_jax.methods.inputs import Forward, StepInputs
from s3net_jax.methods.ms_former.losses import compute_inter_scale_loss, compute_intra_scale_loss
from s3net_jax.methods.ms_former.network import MSFormer
from s3net_jax.nn.layers import exclude_pallas
from s3net_jax.nn.options import get_implementation
from s3net_kernels import softmax_losses

__all__ = ["METHOD"]


def build_network(config: Config, shape: Shape, rngs: nnx.Rngs) -> MSFormer:
    """Build the network for images of the given shape (H, W, C)."""
    return MSFormer(
        config.model.channels,
        inputs=shape[2],
        blocks=config.model.blocks,
        dtype=config.model.dtype,
        implementation=get_implementation(config.model),
        rngs=rngs,
    )


def compute_objective(model: MSFormer, inputs: StepInputs, config: Config) -> Forward:
    """Compute L = weight_ce·L_ce + weight_inter·L_inter + weight_intra·L_intra.

    L_ce is the cross entropy of the logits with their own argmax, without normalisation before
    the softmax. Source: Karimijafarbigloo et al., MS-Former, MIDL 2023.

    Args:
      model: network.
      inputs: images (N, H, W, C), whose sides are 32·n + 1 pixels, and loss weights.
      config: static configuration.
    """
    logits, small, large = model(inputs.images)
    implementation = exclude_pallas(get_implementation(config.model))
    result = softmax_losses(logits, implementation=implementation)
    ce = result.cross_entropy / result.labels.size
    inter = compute_inter_scale_loss(small, large)
    intra = compute_intra_scale_loss(model.compare_patches(logits))
    hyper = inputs.hyper
    loss = (
        hyper.weight_ce * ce + hyper.own["weight_inter"] * inter + hyper.own["weight_intra"] * intra
    )
    terms = {"ce": ce, "inter": inter, "intra": intra}
    return Forward(loss=loss, terms=terms, labels=result.labels, logits=logits)


def compute_logits(model: MSFormer, images: Array, config: Config) -> Array:
    """Compute the logits (N, H, W, K) of images (N, H, W, C)."""
    del config
    return model(images)[0]


def check_shape(shape: Shape, config: Config) -> None:
    """Raise ValueError unless both sides of an image (H, W, C) are 32·n + 1 pixels, n ≥ 1."""
    height, width = (
        min(MSFormerConfig.find_sizes(side), key=lambda near, side=side: abs(near - side))
        for side in shape[:2]
    )
    if (height, width) != shape[:2]:
        raise ValueError(
            f"The method {config.method.name} takes images whose sides are "
            f"{MSFormerConfig.patch}·n + 1 pixels, got {shape[0]}×{shape[1]}: resize the image to "
            f"{height}×{width}."
        )


# Feature maps (H, W, K) that a fit of one image holds at its peak in a worker process. Two images
# fitted one after the other at 257×257 reach 7627 MiB, of which 450 MiB are Python and JAX: 285
# maps (benchmarks/results/memory-avx512-6-207.json). The rest is a margin, because the freed memory
# that a process keeps depends on how fast its calls follow each other.
_PEAK_MAPS = 350


def count_values(config: Config, shape: tuple[int, int]) -> int:
    """Estimate how many numbers a fit of an image (H, W) holds at its peak on a CPU."""
    return _PEAK_MAPS * shape[0] * shape[1] * config.model.channels


METHOD = Method(
    config=MSFormerConfig,
    build=build_network,
    objective=compute_objective,
    compute_logits=compute_logits,
    terms=("ce", "inter", "intra"),
    check_shape=check_shape,
    count_values=count_values,
)
