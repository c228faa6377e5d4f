"""The joint loss of one step (equation 7): main path, second path, three terms."""

from __future__ import annotations

from typing import Any

from jax import Array

from s3net_jax.config import AffineConfig, LossConfig
from s3net_jax.fitting.extra import extra_term
from s3net_jax.fitting.hyper import Hyper
from s3net_jax.losses import (
    affine_consistency,
    cross_entropy,
    hard_spatial_consistency,
)
from s3net_jax.nn import S3Net
from s3net_jax.nn.layers import without_pallas
from s3net_jax.ops import warp, warp_labels, warp_valid
from s3net_kernels import softmax_losses

__all__ = ["Terms", "always_turns", "objective"]

Terms = dict[str, Array]


def objective(
    model: S3Net,
    images: Array,
    hyper: Hyper,
    config: LossConfig,
    matrix: Array | None,
    palette: Array,
    extra: Any = None,
) -> tuple[Array, tuple[Terms, Array]]:
    """L = weight_ce·L_ce + weight_affine·L_AT + weight_spatial·L_S (equation 7) + extra.

    Args:
      model: the network.
      images: (N, H, W, 3) in [0, 1].
      hyper: the weights.
      config: which form each term has.
      matrix: (2, 3), this step's transform, see :func:`s3net_jax.ops.affine_matrix`; None only
        where :func:`always_turns`, which then avoids transforming anything.
      palette: (K,) grey values in [0, 1], read by ``config.spatial == "hard"``.
      extra: a further term, see :data:`s3net_jax.fitting.extra.ExtraLoss`, or None.

    Returns:
      The loss, (); and the terms ``loss``, ``ce``, ``affine``, ``spatial``, and ``extra`` where
      there is one, each (), with the pseudo label, (N, H, W) int32.
    """
    features, entering = model.encode(images)
    second = None
    if config.affine.apply_at == "logits":  # both heads read the same features
        second, features = model.auxiliary_through(features)
    logits = model.decode(features, images)
    # The pseudo label, its cross entropy and the edges, out of one pass over the logits.
    soft = config.spatial == "soft"
    result = softmax_losses(logits, spatial=soft, implementation=_implementation(model, True))
    labels = result.labels
    ce = result.cross_entropy / labels.size
    spatial = result.spatial / labels.size if soft else hard_spatial_consistency(labels, palette)
    affine = _affine_term(model, images, second, entering, labels, config.affine, matrix)

    loss = hyper.weight_ce * ce + hyper.weight_affine * affine + hyper.weight_spatial * spatial
    terms = {"ce": ce, "affine": affine, "spatial": spatial}
    if extra is not None:
        terms["extra"] = extra_term(extra, logits, labels, images)
        loss = loss + terms["extra"]
    return loss, ({"loss": loss, **terms}, labels)


def _affine_term(
    model: S3Net,
    images: Array,
    second: Array | None,
    entering: Array,
    labels: Array,
    config: AffineConfig,
    matrix: Array | None,
) -> Array:
    shape = (images.shape[1], images.shape[2])
    implementation, of_losses = _implementation(model), _implementation(model, True)
    if matrix is None:
        if second is None or not always_turns(config, shape):
            raise ValueError(
                "matrix is None, but this configuration transforms images: give a (2, 3) matrix."
            )
        # Of logits and labels alike: the mean over the pixels is the same without the transform.
        return cross_entropy(second, labels, of_losses)
    if second is not None:
        second = warp(second, matrix, implementation)
    elif config.apply_at == "features":
        moved = warp(entering, matrix, implementation)
        second = model.auxiliary_logits(model.last_block(moved))
    else:
        moved = warp(images, matrix, implementation)
        second = model.auxiliary_logits(model.encode(moved)[0])
    valid = warp_valid(matrix, shape)
    return affine_consistency(second, warp_labels(labels, matrix), valid, of_losses)


def _implementation(model: S3Net, of_losses: bool = False) -> str | None:
    name = model.config.implementation
    chosen = None if name == "auto" else name
    return without_pallas(chosen) if of_losses else chosen


def always_turns(config: AffineConfig, shape: tuple[int, ...]) -> bool:
    """Whether every drawn transform is the same number of quarter turns of square logits.

    It then moves logits and pseudo labels alike, and changes nothing.
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
