"""The inputs and results of one step of any method; pytrees of arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
from jax import Array
from jax.tree_util import Partial

__all__ = ["Forward", "Hyper", "StepInputs", "Terms"]

Terms = dict[str, Array]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Hyper:
    """The numbers of a fit that can change without compiling again: () floats, or arrays to vmap.

    Attributes:
      weight_ce: weight of the cross entropy.
      weight_affine, weight_spatial: weights of S3-Net's other terms (equation 7).
      learning_rate: learning rate of the optimiser.
      momentum: momentum of SGD.
      own: field name → value of the loss weights that only the method has, those listed in the
        ``weights`` of its configuration.
    """

    weight_ce: float | Array
    weight_affine: float | Array
    weight_spatial: float | Array
    learning_rate: float | Array
    momentum: float | Array
    own: Mapping[str, float | Array] = field(default_factory=dict)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class StepInputs:
    """The inputs of a step other than the network; a pytree.

    Attributes:
      images: (N, H, W, C) in [0, 1], in the parameters' dtype; N is 1 in the fit of one image.
      hyper: dynamic loss weights, learning rate and momentum.
      matrix: (2, 3) transform of this step, see :func:`s3net_jax.ops.affine_matrix`; used by
        S3-Net. None, which avoids the transform, is allowed only if it would change nothing.
      palette: (K,) grey values in [0, 1]; used by S3-Net with ``loss.spatial == "hard"``.
      extra: custom term of the loss, bound to its arrays, or None. The caller of an objective adds
        it; objectives ignore it.
      key: PRNG key of this step, for methods that draw augmentations.
      step: () int32 index of this step.
      data: arrays that the method prepared from the images, such as superpixels, with a leading
        axis of N; or None.
      coordinates: (H, W, 2) source (y, x) of every pixel in this step, see
        :func:`s3net_jax.ops.warp`, in place of ``matrix``; or None.
    """

    images: Array
    hyper: Hyper
    matrix: Array | None = None
    palette: Array | None = None
    extra: Partial | None = None
    key: Array | None = None
    step: Array | None = None
    data: Any = None
    coordinates: Array | None = None


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Forward:
    """What an objective computes in one forward pass; a pytree.

    Attributes:
      loss: () loss to minimise.
      terms: name → () value of each term of the loss, unweighted; the names are
        :attr:`.Method.terms`.
      labels: (N, H, W) int32 pseudo label before the update.
      logits: (N, H, W, K) logits of the pseudo label.
      features: (N, H, W, F) features that the head reads, or None.
      auxiliary: (N, H, W, K) logits of a second path, or None.
    """

    loss: Array
    terms: Terms
    labels: Array
    logits: Array
    features: Array | None = None
    auxiliary: Array | None = None
