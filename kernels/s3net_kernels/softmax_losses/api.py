"""Define the public function of the losses of a softmax map."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from s3net_kernels import operands
from s3net_kernels._check import require, require_pixels, require_rank, to_flag, to_float
from s3net_kernels._dispatch import dispatch

__all__ = ["SoftmaxLosses", "softmax_losses"]


class SoftmaxLosses(NamedTuple):
    """Result of :func:`softmax_losses`."""

    cross_entropy: Array
    """Cross entropy (): Σ_i weight_i · (−log softmax(logits)_i at labels_i)."""
    spatial: Array
    """Edge sum (): Σ_i Σ_k |X−Y| + |X−XY| + |Y−XY|, or 0 if not requested."""
    labels: Array
    """Labels used, (N, H, W) int32."""


def softmax_losses(
    logits: ArrayLike,
    labels: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    *,
    spatial: bool = False,
    implementation: str | None = None,
) -> SoftmaxLosses:
    """Compute cross entropy and edges of a softmax map, summed over the pixels, in one pass.

    X, Y and XY are the magnitudes of the 3×3 Sobel derivatives d/dx, d/dy and d²/dxdy of the
    softmax; the border is reflected without repeating its pixel.

    Args:
      logits: floating point logits (N, H, W, K), K at least 1. −inf means probability 0: it has no
        loss and no gradient, except that a pixel labelled with it has infinite loss. A pixel whose
        logits are all −inf, or include +inf or NaN, has no softmax: the losses are then not finite
        and the pixel's gradient is NaN.
      labels: integer labels (N, H, W), or None for each pixel's largest logit (the first in a tie).
        A label outside 0..K−1 counts as a class with logit 0: the pixel's loss is log Σ exp logits.
      weight: non-negative floating point weights (N, H, W), or None for 1; they get no gradient.
      spatial: whether to compute the edge sum; H and W must then be at least 2.
      implementation: name of an implementation; None selects the best one.

    Returns:
      A :class:`SoftmaxLosses`, differentiable in ``logits``; the sums have the dtype of ``logits``
      but at least float32.

    Raises:
      ValueError: shapes that do not match.
      TypeError: logits or weights that are not floating point, labels that are not integers.
      UnsupportedError: the named implementation cannot serve the call.
    """
    name = "softmax_losses"
    logits = to_float(name, "logits", logits)
    spatial = to_flag(name, "spatial", spatial)
    require_rank(name, "logits", logits, "N, H, W, K")
    require_pixels(name, logits)
    require(logits.shape[3] > 0, f"{name}: logits of shape {logits.shape} have no classes.")
    maps = logits.shape[:3]
    if labels is not None:
        labels = jnp.asarray(labels)
        if not jnp.issubdtype(labels.dtype, jnp.integer):
            raise TypeError(f"{name}: labels is {labels.dtype}, but must be integer.")
        if labels.dtype.itemsize > 4:  # keep values that overflow int32 outside 0..K−1
            labels = jnp.clip(labels, None, logits.shape[3])
            labels = labels if labels.dtype == jnp.uint64 else jnp.clip(labels, -1)
        labels = labels.astype(jnp.int32)
    if weight is not None:
        weight = to_float(name, "weight", weight)
    for label, array in (("labels", labels), ("weight", weight)):
        require(
            array is None or array.shape == maps,
            f"{name}: {label} has shape {None if array is None else array.shape}, expected "
            f"{maps}: one number per pixel.",
        )
    require(
        not spatial or min(maps[1:]) >= 2,
        f"{name}: edges need at least 2 pixels a side; logits have shape {logits.shape}.",
    )
    given = operands.SoftmaxLosses(logits, labels, weight, spatial=spatial)
    return SoftmaxLosses(*dispatch(name, implementation, given))
