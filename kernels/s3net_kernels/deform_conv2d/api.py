"""Define the public function of the modulated deformable convolution."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from s3net_kernels._check import require, require_kernel, require_pixels, require_rank, to_float
from s3net_kernels._dispatch import dispatch
from s3net_kernels.operands import DeformConv2d

__all__ = ["deform_conv2d"]


def deform_conv2d(
    x: ArrayLike,
    offset: ArrayLike,
    mask: ArrayLike | None,
    w: ArrayLike,
    b: ArrayLike | None = None,
    *,
    implementation: str | None = None,
) -> Array:
    """Apply a modulated deformable convolution (Zhu et al., arXiv 1811.11168).

    The stride is 1 and the result has the size of ``x``:

    y[n,h,w,o] = b[o] + Σ_t mask[n,h,w,t] · Σ_c v[n,h,w,t,c] · w[i,j,c,o],  t = i·kw + j,
    where v is x sampled bilinearly at (h − kh//2 + i + offset[n,h,w,2t],
    w − kw//2 + j + offset[n,h,w,2t+1]), and x is zero outside the image (the semantics of
    torchvision's ``deform_conv2d``).

    Args:
      x: floating point images (N, H, W, Cin).
      offset: floating point offsets (N, H, W, 2·kh·kw), (dy, dx) in pixels per tap, row-major.
      mask: floating point factors (N, H, W, kh·kw) of the taps, or None for 1 (Dai et al., arXiv
        1703.06211).
      w: floating point kernel (kh, kw, Cin, Cout), kh and kw odd. Under ``vmap``, shared or one
        per image.
      b: floating point bias (Cout,), or None.
      implementation: name of an implementation; None selects the best one.

    Returns:
      Result (N, H, W, Cout) in the dtype of ``x``, computed in the widest dtype of the arguments,
      at least float32. At integer coordinates, where interpolation has a kink, the derivative by
      ``offset`` is the one towards larger coordinates. A NaN offset gives NaN.

    Raises:
      ValueError: shapes that do not match, or an even kernel.
      TypeError: an argument that is not floating point.
      UnsupportedError: the named implementation cannot serve the call.
    """
    name = "deform_conv2d"
    x, w = to_float(name, "x", x), to_float(name, "w", w)
    offset = to_float(name, "offset", offset)
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
    pixels = x.shape[:3]
    # Make ones in the dtype of the offsets, so that they do not widen the computation.
    mask = (
        jnp.ones((*pixels, kh * kw), offset.dtype) if mask is None else to_float(name, "mask", mask)
    )
    for label, array, count, meaning in (
        ("offset", offset, 2 * kh * kw, f"(dy, dx) for each of the {kh}×{kw} taps"),
        ("mask", mask, kh * kw, f"a factor for each of the {kh}×{kw} taps"),
    ):
        require(
            array.shape == (*pixels, count),
            f"{name}: {label} has shape {array.shape}, expected {(*pixels, count)}: {meaning} at "
            "every pixel of x.",
        )
    if b is not None:
        b = to_float(name, "b", b)
        require(
            b.shape == (features,),
            f"{name}: b has shape {b.shape}, expected ({features},): one number per "
            "output channel.",
        )
    return dispatch(name, implementation, DeformConv2d(x, offset, mask, w, b))
