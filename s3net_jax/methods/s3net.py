"""S3-Net as a method: main path, second path, and the joint loss of equation 7."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import Array

from s3net_jax.config import AffineConfig, Config, MethodConfig
from s3net_jax.losses import (
    affine_consistency,
    cross_entropy,
    edge_aware_consistency,
    hard_spatial_consistency,
)
from s3net_jax.methods.base import Method, Shape, make_sgd
from s3net_jax.methods.inputs import Forward, Hyper, StepInputs
from s3net_jax.nn import S3Net
from s3net_jax.nn.layers import exclude_pallas
from s3net_jax.nn.options import get_implementation
from s3net_jax.ops import draw_affine, warp, warp_labels, warp_valid
from s3net_kernels import softmax_losses

__all__ = ["METHOD", "draw_palette", "has_fixed_turns"]

# Luma weights of ITU-R BT.601, which OpenCV uses to convert colours to grey.
_LUMA = (0.299, 0.587, 0.114)


def build_network(config: Config, shape: Shape, rngs: nnx.Rngs) -> S3Net:
    """Build the network for images of the given shape (H, W, C)."""
    return S3Net(config.model, shape[:2], in_channels=shape[2], rngs=rngs)


def compute_objective(model: S3Net, inputs: StepInputs, config: Config) -> Forward:
    """Compute L = weight_ce·L_ce + weight_affine·L_AT + weight_spatial·L_S (equation 7).

    Args:
      model: network.
      inputs: images, loss weights, and the other inputs of the terms.
      config: static form of each term, in ``config.loss``.

    Raises:
      ValueError: ``inputs`` lacks a matrix or palette that ``config`` needs.
    """
    images, hyper, form = inputs.images, inputs.hyper, config.loss
    features, entering = model.encode(images)
    second = None
    if form.affine.apply_at == "logits":
        # Both heads read the same features, so the second path needs no second encoder pass.
        second, features = model.auxiliary_through(features)
    logits = model.decode(features, images)
    # One pass over the logits computes the pseudo label, its cross entropy and the edges, instead
    # of three passes over (N, H, W, K) values.
    soft = form.spatial == "soft"
    result = softmax_losses(
        logits, spatial=soft, implementation=_choose_implementation(model, True)
    )
    labels = result.labels
    ce = result.cross_entropy / labels.size
    if soft:
        spatial = result.spatial / labels.size
    elif form.spatial == "edge":
        spatial = edge_aware_consistency(logits, images, form.edge_scale)
    else:
        spatial = _compute_hard_spatial(labels, inputs)
    affine, second = _compute_affine(model, inputs, second, entering, labels, form.affine)

    loss = hyper.weight_ce * ce + hyper.weight_affine * affine + hyper.weight_spatial * spatial
    return Forward(
        loss=loss,
        terms={"ce": ce, "affine": affine, "spatial": spatial},
        labels=labels,
        logits=logits,
        features=features,
        auxiliary=second,
    )


def _compute_hard_spatial(labels: Array, inputs: StepInputs) -> Array:
    if inputs.palette is None:
        raise ValueError(
            'palette is None, but loss.spatial="hard" needs it: give (K,) grey values in [0, 1].'
        )
    return hard_spatial_consistency(labels, inputs.palette)


def _compute_affine(
    model: S3Net,
    inputs: StepInputs,
    second: Array | None,
    entering: Array,
    labels: Array,
    config: AffineConfig,
) -> tuple[Array, Array]:
    """Compute the affine term L_AT, and the logits (N, H, W, K) of the second path.

    Args:
      model: network.
      inputs: images and transform.
      second: logits of the second path if both heads read the same features, else None.
      entering: features before the last block.
      labels: (N, H, W) pseudo label of the main path.
      config: where the transform is applied, and its ranges.
    """
    images = inputs.images
    transform = inputs.matrix if inputs.coordinates is None else inputs.coordinates
    shape = (images.shape[1], images.shape[2])
    implementation, for_losses = _choose_implementation(model), _choose_implementation(model, True)
    if transform is None:
        if second is None or not has_fixed_turns(config, shape):
            raise ValueError(
                "matrix is None, but this configuration transforms images: give a (2, 3) matrix, "
                "or coordinates."
            )
        # The quarter turn would permute logits and labels alike, which leaves the mean over the
        # pixels unchanged; skipping it saves two resamplings.
        return cross_entropy(second, labels, for_losses), second
    if second is not None:
        second = warp(second, transform, implementation)
    elif config.apply_at == "features":
        moved = warp(entering, transform, implementation)
        second = model.auxiliary_logits(model.last_block(moved))
    else:
        moved = warp(images, transform, implementation)
        second = model.auxiliary_logits(model.encode(moved)[0])
    valid = warp_valid(transform, shape)
    moved_labels = warp_labels(labels, transform)
    return affine_consistency(second, moved_labels, valid, for_losses), second


def _choose_implementation(model: S3Net, for_losses: bool = False) -> str | None:
    chosen = get_implementation(model.config)
    return exclude_pallas(chosen) if for_losses else chosen


def has_fixed_turns(config: AffineConfig, shape: tuple[int, ...]) -> bool:
    """Return whether every random transform is the same quarter turn of square logits.

    Such a transform permutes logits and pseudo labels alike, so it does not change the loss.
    """
    return (
        config.apply_at == "logits"
        and config.rotation[0] == config.rotation[1]
        and config.rotation[0] % 90 == 0
        and config.translation == (0, 0)
        and config.scale == (1, 1)
        and config.shear == (0, 0)
        and shape[0] == shape[1]
    )


def compute_logits(model: S3Net, images: Array, config: Config) -> Array:
    """Compute the logits (N, H, W, K) of images (N, H, W, C)."""
    del config
    return model.decode(model.encode(images)[0], images)


def start_inputs(key: Array, inputs: StepInputs, config: Config) -> StepInputs:
    """Draw the palette of a fit."""
    dtype = inputs.images.dtype
    return dataclasses.replace(inputs, palette=draw_palette(key, config.model.channels, dtype))


def draw_inputs(inputs: StepInputs, config: Config) -> StepInputs:
    """Draw the transform of a step, unless one is given or it would change nothing."""
    images, affine = inputs.images, config.loss.affine
    shape = images.shape[1], images.shape[2]
    is_given = inputs.matrix is not None or inputs.coordinates is not None
    if is_given or has_fixed_turns(affine, shape):
        return inputs
    assert inputs.key is not None
    matrix = draw_affine(inputs.key, affine, shape, images.dtype)
    return dataclasses.replace(inputs, matrix=matrix)


def draw_palette(key: Array, count: int, dtype: Any) -> Array:
    """Draw a grey value for each label, for the hard spatial loss.

    As in the released code, each value is the grey of a random colour of three bytes. Such a
    weighted mean varies less than a single channel: two values differ by 0.22 on average, compared
    to 0.33 for values from U[0, 1), and the loss is proportional to that difference.

    Args:
      key: PRNG key.
      count: number of labels, K.
      dtype: dtype of the values.

    Returns:
      (count,) values in [0, 1].
    """
    colors = jax.random.randint(key, (count, 3), 0, 256).astype(dtype)
    return jnp.sum(colors * jnp.asarray(_LUMA, dtype), -1) / 255


def make_optimizer(hyper: Hyper, config: Config) -> optax.GradientTransformation:
    """Make SGD with momentum, with a separate learning rate of offsets (``fit.offset_rate``)."""
    sgd = make_sgd(hyper, config)
    rate = config.fit.offset_rate
    return sgd if rate == 1 else optax.chain(sgd, scale_offset_updates(rate))


def scale_offset_updates(rate: float) -> optax.GradientTransformation:
    """Multiply the updates of the parameters that make offsets by ``rate``.

    These are the parameters ``offset`` of a free deformable layer, and in a layer that predicts
    offsets the part of ``predict`` whose outputs are offsets: the first two thirds of its channels.
    The last third makes the mask.
    """

    def scale(path: tuple[Any, ...], change: Array) -> Array:
        names = {str(getattr(key, "key", getattr(key, "name", key))) for key in path}
        if "predict" in names:
            count = change.shape[-1] // 3 * 2
            return jnp.where(jnp.arange(change.shape[-1]) < count, rate * change, change)
        return rate * change if "offset" in names else change

    return optax.stateless(lambda updates, _: jax.tree_util.tree_map_with_path(scale, updates))


METHOD = Method(
    config=MethodConfig,
    build=build_network,
    objective=compute_objective,
    compute_logits=compute_logits,
    terms=("ce", "affine", "spatial"),
    optimizer=make_optimizer,
    start=start_inputs,
    draw=draw_inputs,
)
