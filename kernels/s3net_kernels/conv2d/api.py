"""Define the public function of the dense convolution."""

from __future__ import annotations

from jax import Array
from jax.typing import ArrayLike

from s3net_kernels._check import require, require_kernel, require_pixels, require_rank, to_float
from s3net_kernels._dispatch import dispatch
from s3net_kernels.operands import Conv2d

__all__ = ["conv2d"]


def conv2d(
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None = None,
    *,
    implementation: str | None = None,
) -> Array:
    """Convolve with stride 1 and "same" zero padding; fast also with one kernel per image.

    y[n,h,w,o] = b[o] + Σ_ijc x[n, h + i − kh//2, w + j − kw//2, c] · w[i,j,c,o]

    Args:
      x: floating point images (N, H, W, Cin). H and W may be smaller than the kernel.
      w: floating point kernel (kh, kw, Cin, Cout), kh and kw odd. Under ``vmap``, shared or one
        per image.
      b: floating point bias (Cout,), or None.
      implementation: name of an implementation; None selects the best one.

    Returns:
      Result (N, H, W, Cout) in the dtype of ``x``, computed in the widest dtype of the arguments,
      at least float32.

    Raises:
      ValueError: shapes that do not match, or an even kernel.
      TypeError: an argument that is not floating point.
      UnsupportedError: the named implementation cannot serve the call.
    """
    name = "conv2d"
    x, w = to_float(name, "x", x), to_float(name, "w", w)
    require_rank(name, "x", x, "N, H, W, Cin")
    require_pixels(name, x)
    require_rank(name, "w", w, "kh, kw, Cin, Cout")
    kh, kw, channels, features = w.shape
    require_kernel(name, "w", (kh, kw))
    require(
        channels == x.shape[3],
        f"{name}: x has {x.shape[3]} channels, but w of shape {w.shape} expects {channels}: "
        "its third axis must equal the last of x.",
    )
    if b is not None:
        b = to_float(name, "b", b)
        require(
            b.shape == (features,),
            f"{name}: b has shape {b.shape}, expected ({features},): one number per "
            "output channel.",
        )
    return dispatch(name, implementation, Conv2d(x, w, b))
