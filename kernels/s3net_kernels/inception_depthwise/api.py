"""Define the public function of the inception of depthwise convolutions."""

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
    """Apply several depthwise convolutions to one input and concatenate the results.

    y[..., r·C + c] = depthwise_conv2d(x, weights[r], biases[r], dilation=dilations[r])[..., c]

    Args:
      x: floating point images (N, H, W, C).
      weights: floating point kernel (kh_r, kw_r, C) with odd sides for each branch r.
      biases: floating point bias (C,) for each branch.
      dilations: dilation of each branch, at least 1.
      implementation: name of an implementation; None selects the best one.

    Returns:
      Result (N, H, W, R·C) in the dtype of ``x``, computed in the widest dtype of the arguments,
      at least float32.

    Raises:
      ValueError: shapes that do not match, no branch, or lists of different lengths.
      TypeError: an argument that is not floating point.
      UnsupportedError: the named implementation cannot serve the call.
    """
    name = "inception_depthwise"
    x = to_float(name, "x", x)
    require_rank(name, "x", x, "N, H, W, C")
    require_pixels(name, x)
    require(
        len(weights) == len(biases) == len(dilations) >= 1,
        f"{name}: got {len(weights)} weights, {len(biases)} biases and {len(dilations)} "
        "dilations, but each branch needs one of each, and at least one branch is required.",
    )
    kernels, shifts = [], []
    for r, (w, b) in enumerate(zip(weights, biases, strict=True)):
        kernel = to_float(name, f"w[{r}]", w)
        bias = check_branch(name, x, kernel, b, f"[{r}]")
        require(bias is not None, f"{name}: b[{r}] is None: pass zeros of shape ({x.shape[3]},).")
        kernels.append(kernel)
        shifts.append(bias)
    dilations = tuple(
        limit_dilation(x, to_positive_int(name, f"dilation[{r}]", d))
        for r, d in enumerate(dilations)
    )
    operands = InceptionDepthwise(x, tuple(kernels), tuple(shifts), dilations=dilations)
    return dispatch(name, implementation, operands)
