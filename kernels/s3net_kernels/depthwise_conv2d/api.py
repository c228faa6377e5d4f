"""Define the public function of the depthwise convolution."""

from __future__ import annotations

from typing import Any

from jax import Array
from jax.typing import ArrayLike

from s3net_kernels._check import (
    require,
    require_kernel,
    require_pixels,
    require_rank,
    to_float,
    to_positive_int,
)
from s3net_kernels._dispatch import dispatch
from s3net_kernels.operands import DepthwiseConv2d

__all__ = ["check_branch", "depthwise_conv2d", "limit_dilation"]


def depthwise_conv2d(
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None = None,
    *,
    dilation: int = 1,
    implementation: str | None = None,
) -> Array:
    """Convolve every channel with its own kernel; stride 1, "same" zero padding.

    y[n,h,w,c] = b[c] + Σ_ij x[n, h + d·(i − kh//2), w + d·(j − kw//2), c] · w[i,j,c]

    Args:
      x: floating point images (N, H, W, C). H and W may be smaller than the kernel.
      w: floating point kernel (kh, kw, C), kh and kw odd. Under ``vmap``, shared or one per image.
      b: floating point bias (C,), or None.
      dilation: distance d ≥ 1 between taps in pixels, a Python or NumPy int.
      implementation: name of an implementation; None selects the best one.

    Returns:
      Result (N, H, W, C) in the dtype of ``x``, computed in the widest dtype of the arguments, at
      least float32.

    Raises:
      ValueError: shapes that do not match, an even kernel, or a dilation below 1.
      TypeError: an argument that is not floating point.
      UnsupportedError: the named implementation cannot serve the call.
    """
    name = "depthwise_conv2d"
    x, w = to_float(name, "x", x), to_float(name, "w", w)
    require_rank(name, "x", x, "N, H, W, C")
    require_pixels(name, x)
    bias = check_branch(name, x, w, b)
    dilation = limit_dilation(x, to_positive_int(name, "dilation", dilation))
    return dispatch(name, implementation, DepthwiseConv2d(x, w, bias, dilation=dilation))


def limit_dilation(x: Array, dilation: int) -> int:
    """Limit a dilation to the image's size; any larger one leaves only the centre tap inside."""
    return min(dilation, max(x.shape[1:3]))


def check_branch(operator: str, x: Array, w: Array, b: ArrayLike | None, suffix: str = "") -> Any:
    """Check one depthwise convolution of ``x``; return its bias as an array, or None."""
    require_rank(operator, f"w{suffix}", w, "kh, kw, C")
    require_kernel(operator, f"w{suffix}", (w.shape[0], w.shape[1]))
    channels = x.shape[-1]
    require(
        w.shape[2] == channels,
        f"{operator}: x has {channels} channels, but w{suffix} of shape {w.shape} has "
        f"{w.shape[2]}: its last axis must equal that of x.",
    )
    if b is None:
        return None
    bias = to_float(operator, f"b{suffix}", b)
    require(
        bias.shape == (channels,),
        f"{operator}: b{suffix} has shape {bias.shape}, expected ({channels},): one number per "
        "channel of x.",
    )
    return bias
