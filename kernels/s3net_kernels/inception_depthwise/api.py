"""Public function of the inception of depthwise convolutions."""

from __future__ import annotations

from collections.abc import Sequence

from jax import Array
from jax.typing import ArrayLike

from s3net_kernels._check import require, require_pixels, require_rank, to_float, to_positive_int
from s3net_kernels._dispatch import dispatch
from s3net_kernels.depthwise_conv2d.api import check_branch, limit_dilation
from s3net_kernels.operands import InceptionDepthwise

__all__ = ["inception_depthwise"]


def inception_depthwise(
    x: ArrayLike,
    weights: Sequence[ArrayLike],
    biases: Sequence[ArrayLike],
    *,
    dilations: Sequence[int],
    implementation: str | None = None,
) -> Array:
    """Several depthwise convolutions of one input, side by side, concatenated branch by branch.

    y[..., r·C + c] = depthwise_conv2d(x, weights[r], biases[r], dilation=dilations[r])[..., c]

    Args:
      x: (N, H, W, C) floating point.
      weights: of every branch r, (kh_r, kw_r, C) floating point with odd sides.
      biases: of every branch, (C,) floating point.
      dilations: of every branch, at least 1.
      implementation: see ``s3net_kernels``; None takes the best one.

    Returns:
      (N, H, W, R·C), dtype of ``x``; computed in the widest dtype of the arguments, at least
      float32.

    Raises:
      ValueError: shapes that do not fit, no branch, or lists of different lengths.
      TypeError: an argument that is not floating point.
      UnsupportedError: the named implementation declines.
    """
    name = "inception_depthwise"
    x = to_float(name, "x", x)
    require_rank(name, "x", x, "N, H, W, C")
    require_pixels(name, x)
    require(
        len(weights) == len(biases) == len(dilations) >= 1,
        f"{name}: there are {len(weights)} weights, {len(biases)} biases and {len(dilations)} "
        "dilations: each branch needs one of each, and there must be a branch.",
    )
    kernels, shifts = [], []
    for r, (w, b) in enumerate(zip(weights, biases, strict=True)):
        kernel = to_float(name, f"w[{r}]", w)
        bias = check_branch(name, x, kernel, b, f"[{r}]")
        require(bias is not None, f"{name}: b[{r}] is None: give zeros of shape ({x.shape[3]},).")
        kernels.append(kernel)
        shifts.append(bias)
    dilations = tuple(
        limit_dilation(x, to_positive_int(name, f"dilation[{r}]", d))
        for r, d in enumerate(dilations)
    )
    operands = InceptionDepthwise(x, tuple(kernels), tuple(shifts), dilations=dilations)
    return dispatch(name, implementation, operands)
