"""Public function of bilinear sampling."""

from __future__ import annotations

from jax import Array
from jax.typing import ArrayLike

from s3net_kernels._check import require, require_boundary, require_pixels, require_rank, to_float
from s3net_kernels._dispatch import dispatch
from s3net_kernels.operands import BilinearSample

__all__ = ["bilinear_sample"]


def bilinear_sample(
    x: ArrayLike,
    coords: ArrayLike,
    *,
    boundary: str = "zeros",
    implementation: str | None = None,
) -> Array:
    """Values of images between their pixels.

    out[n,i,j,c] = Σ_pq max(0, 1 − |y − p|) · max(0, 1 − |x − q|) · x[n,p,q,c],
    where (y, x) = coords[n,i,j].

    Args:
      x: (N, H, W, C) floating point.
      coords: (N, Ho, Wo, 2) floating point (y, x) in pixels, counted from the first pixel.
      boundary: what lies outside the image: ``"zeros"``, or ``"edge"``: coordinates are clamped
        to the image.
      implementation: see ``s3net_kernels``; None takes the best one.

    Returns:
      (N, Ho, Wo, C), dtype of ``x``; computed in the widest dtype of the arguments, at least
      float32. At whole coordinates, where interpolation has a kink, the derivative by
      ``coords`` is the one towards larger coordinates; where they are clamped, it is zero. A
      coordinate that is NaN gives NaN.

    Raises:
      ValueError: shapes that do not fit, or another boundary.
      TypeError: an argument that is not floating point.
      UnsupportedError: the named implementation declines.
    """
    name = "bilinear_sample"
    x, coords = to_float(name, "x", x), to_float(name, "coords", coords)
    require_rank(name, "x", x, "N, H, W, C")
    require_rank(name, "coords", coords, "N, Ho, Wo, 2")
    require(
        coords.shape[0] == x.shape[0] and coords.shape[3] == 2,
        f"{name}: coords has shape {coords.shape}, it must be ({x.shape[0]}, Ho, Wo, 2): a (y, x) "
        "for every output pixel of every image of x.",
    )
    require_pixels(name, x)
    require_boundary(name, boundary)
    return dispatch(name, implementation, BilinearSample(x, coords, boundary=boundary))
