"""Public function of the losses of a softmax map."""

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
    """(), Σ_i weight_i · (−log softmax(logits)_i at labels_i)."""
    spatial: Array
    """(), Σ_i Σ_k |X−Y| + |X−XY| + |Y−XY|, or 0 where it was not asked for."""
    labels: Array
    """(N, H, W) int32, the labels used."""


def softmax_losses(
    logits: ArrayLike,
    labels: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    *,
    spatial: bool = False,
    implementation: str | None = None,
) -> SoftmaxLosses:
    """Cross entropy and the edges of a softmax map, each summed over the pixels, in one pass.

    X, Y and XY are the magnitudes of the 3×3 Sobel derivatives d/dx, d/dy and d²/dxdy of the
    softmax, the border reflected without repeating its pixel.

    Args:
      logits: (N, H, W, K) floating point, K at least 1. −inf is a probability of 0: it costs and
        moves nothing, except that a pixel whose label it is costs infinity. A pixel of nothing but
        −inf, or with a logit that is +inf or NaN, has no softmax: the losses are not finite then,
        and the pixel's gradient is NaN.
      labels: (N, H, W) integer, or None for each pixel's largest logit (the first of equals). A
        label outside 0..K−1 counts as one whose logit is 0: the pixel costs log Σ exp logits.
      weight: (N, H, W) floating point, not negative, or None for 1; it gets no gradient.
      spatial: whether the second sum is wanted; H and W are then at least 2.
      implementation: see ``s3net_kernels``; None takes the best one.

    Returns:
      A :class:`SoftmaxLosses`; the sums are of the dtype of ``logits``, at least float32.
      Differentiable in ``logits``.

    Raises:
      ValueError: shapes that do not fit.
      TypeError: logits or weights that are not floating point, labels that are not integers.
      UnsupportedError: the named implementation declines.
    """
    name = "softmax_losses"
    logits = to_float(name, "logits", logits)
    spatial = to_flag(name, "spatial", spatial)
    require_rank(name, "logits", logits, "N, H, W, K")
    require_pixels(name, logits)
    require(logits.shape[3] > 0, f"{name}: logits of shape {logits.shape} have no class.")
    maps = logits.shape[:3]
    if labels is not None:
        labels = jnp.asarray(labels)
        if not jnp.issubdtype(labels.dtype, jnp.integer):
            raise TypeError(f"{name}: labels is {labels.dtype}, it must be integer.")
        if labels.dtype.itemsize > 4:  # what int32 can't hold stays outside
            labels = jnp.clip(labels, None, logits.shape[3])
            labels = labels if labels.dtype == jnp.uint64 else jnp.clip(labels, -1)
        labels = labels.astype(jnp.int32)
    if weight is not None:
        weight = to_float(name, "weight", weight)
    for label, array in (("labels", labels), ("weight", weight)):
        require(
            array is None or array.shape == maps,
            f"{name}: {label} has shape {None if array is None else array.shape}, it must be "
            f"{maps}: one number per pixel.",
        )
    require(
        not spatial or min(maps[1:]) >= 2,
        f"{name}: edges need at least 2 pixels a side; logits have shape {logits.shape}.",
    )
    given = operands.SoftmaxLosses(logits, labels, weight, spatial=spatial)
    return SoftmaxLosses(*dispatch(name, implementation, given))
