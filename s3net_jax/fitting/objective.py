"""Compute the joint loss of one step (equation 7): main path, second path, three or four terms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.tree_util import Partial

from s3net_jax.config import AffineConfig, LossConfig
from s3net_jax.errors import NotNumbersError
from s3net_jax.fitting.checks import convert_array, read_numbers
from s3net_jax.fitting.hyper import Hyper
from s3net_jax.losses import (
    affine_consistency,
    cross_entropy,
    hard_spatial_consistency,
)
from s3net_jax.nn import S3Net
from s3net_jax.nn.layers import exclude_pallas
from s3net_jax.ops import warp, warp_labels, warp_valid
from s3net_kernels import softmax_losses

__all__ = [
    "ExtraLoss",
    "StepInputs",
    "Terms",
    "has_fixed_turns",
    "objective",
    "read_extra",
]

Terms = dict[str, Array]

ExtraLoss = Callable[[Array, Array, Array], Array]
"""``(logits (H, W, K), labels (H, W) int32, image (H, W, 3)) -> ()``: a function of the main head's
logits, the pseudo label and the prepared image, each for one image."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class StepInputs:
    """The inputs of a step other than the network; a pytree.

    Attributes:
      images: (N, H, W, 3) in [0, 1], in the parameters' dtype.
      hyper: dynamic loss weights, learning rate and momentum.
      matrix: (2, 3) transform of this step, see :func:`s3net_jax.ops.affine_matrix`; None, which
        avoids the transform, is allowed only if :func:`has_fixed_turns` holds.
      palette: (K,) grey values in [0, 1]; used only with ``loss.spatial == "hard"``.
      extra: custom term of the loss as :func:`read_extra` returns it, or None.
    """

    images: Array
    hyper: Hyper
    matrix: Array | None = None
    palette: Array | None = None
    extra: Partial | None = None


def objective(
    model: S3Net, inputs: StepInputs, config: LossConfig
) -> tuple[Array, tuple[Terms, Array]]:
    """Compute L = weight_ce·L_ce + weight_affine·L_AT + weight_spatial·L_S (equation 7) + extra.

    Args:
      model: network.
      inputs: images, loss weights, and the other inputs of the terms.
      config: static form of each term.

    Returns:
      ``(loss, (terms, labels))``: the () loss; a dict of the () terms ``loss``, ``ce``, ``affine``,
      ``spatial``, and ``extra`` with a custom term; the (N, H, W) int32 pseudo label.

    Raises:
      ValueError: ``inputs`` lacks a matrix or palette that ``config`` needs, or the custom term
        does not return a single number.
    """
    images, hyper = inputs.images, inputs.hyper
    features, entering = model.encode(images)
    second = None
    if config.affine.apply_at == "logits":
        # Both heads read the same features, so the second path needs no second encoder pass.
        second, features = model.auxiliary_through(features)
    logits = model.decode(features, images)
    # One pass over the logits computes the pseudo label, its cross entropy and the edges, instead
    # of three passes over (N, H, W, K) values.
    soft = config.spatial == "soft"
    result = softmax_losses(
        logits, spatial=soft, implementation=_choose_implementation(model, True)
    )
    labels = result.labels
    ce = result.cross_entropy / labels.size
    spatial = result.spatial / labels.size if soft else _compute_hard_spatial(labels, inputs)
    affine = _compute_affine(model, inputs, second, entering, labels, config.affine)

    loss = hyper.weight_ce * ce + hyper.weight_affine * affine + hyper.weight_spatial * spatial
    terms = {"ce": ce, "affine": affine, "spatial": spatial}
    if inputs.extra is not None:
        terms["extra"] = _compute_extra(inputs.extra, logits, labels, images)
        loss = loss + terms["extra"]
    return loss, ({"loss": loss, **terms}, labels)


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
) -> Array:
    """Compute the affine term L_AT.

    Args:
      model: network.
      inputs: images and transform.
      second: logits of the second path if both heads read the same features, else None.
      entering: features before the last block.
      labels: (N, H, W) pseudo label of the main path.
      config: where the transform is applied, and its ranges.
    """
    images, matrix = inputs.images, inputs.matrix
    shape = (images.shape[1], images.shape[2])
    implementation, for_losses = _choose_implementation(model), _choose_implementation(model, True)
    if matrix is None:
        if second is None or not has_fixed_turns(config, shape):
            raise ValueError(
                "matrix is None, but this configuration transforms images: give a (2, 3) matrix."
            )
        # The quarter turn would permute logits and labels alike, which leaves the mean over the
        # pixels unchanged; skipping it saves two resamplings.
        return cross_entropy(second, labels, for_losses)
    if second is not None:
        second = warp(second, matrix, implementation)
    elif config.apply_at == "features":
        moved = warp(entering, matrix, implementation)
        second = model.auxiliary_logits(model.last_block(moved))
    else:
        moved = warp(images, matrix, implementation)
        second = model.auxiliary_logits(model.encode(moved)[0])
    valid = warp_valid(matrix, shape)
    return affine_consistency(second, warp_labels(labels, matrix), valid, for_losses)


def _compute_extra(term: Any, logits: Array, labels: Array, images: Array) -> Array:
    """Compute the mean of ``term`` over N images, a () array of the images' dtype.

    Raises:
      ValueError: ``term`` does not return a single number.
    """
    values = jax.vmap(lambda *one: jnp.asarray(term(*one)))(
        logits.astype(images.dtype), labels, images
    )
    if values.ndim != 1:
        raise ValueError(
            f"extra_loss must return one number, got an array of the shape {values.shape[1:]}."
        )
    return jnp.mean(values.astype(images.dtype))


def _choose_implementation(model: S3Net, for_losses: bool = False) -> str | None:
    name = model.config.implementation
    chosen = None if name == "auto" else name
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


def read_extra(term: ExtraLoss | None, dtype: jnp.dtype) -> Partial | None:
    """Convert ``term`` to a ``Partial``: a static function with its bound arrays as leaves.

    The bound arrays can be vmapped and differentiated.

    Args:
      term: function, ``Partial`` with bound arrays, or None.
      dtype: dtype for bound Python floats, which have none.

    Raises:
      TypeError: ``term`` is not callable, or binds something other than arrays and numbers.
    """
    if term is None:
        return None
    if not callable(term):
        raise TypeError(
            f"extra_loss is a {type(term).__name__}; give a function of logits, labels and image."
        )
    if not isinstance(term, Partial):
        return Partial(term)
    return jax.tree.map(lambda leaf: _read_bound(leaf, dtype), term)


def _read_bound(leaf: Any, dtype: jnp.dtype) -> Array:
    given = getattr(leaf, "dtype", None)
    if given is not None and jnp.issubdtype(given, jax.dtypes.prng_key):
        return leaf
    if isinstance(leaf, bool) or str(given) == "bool":
        return convert_array(leaf if isinstance(leaf, Array) else np.asarray(leaf), bool)
    try:
        numbers = read_numbers(leaf)
    except NotNumbersError as error:
        raise TypeError(
            f"extra_loss binds {error}, but jax.tree_util.Partial takes only arrays and numbers: "
            "bind anything else with functools.partial."
        ) from None
    scalar = isinstance(leaf, float | np.floating) or getattr(numbers, "weak_type", False)
    if scalar and jnp.issubdtype(numbers.dtype, jnp.floating):
        return convert_array(numbers, dtype)
    return convert_array(numbers, jax.dtypes.canonicalize_dtype(numbers.dtype))
