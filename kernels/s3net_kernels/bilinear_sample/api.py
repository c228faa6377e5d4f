"""Define the public function of bilinear sampling."""

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
    """Sample images between their pixels by bilinear interpolation.

    out[n,i,j,c] = Σ_pq max(0, 1 − |y − p|) · max(0, 1 − |x − q|) · x[n,p,q,c],
    where (y, x) = coords[n,i,j].

    Args:
      x: floating point images (N, H, W, C).
      coords: floating point coordinates (N, Ho, Wo, 2), (y, x) in pixels from the first pixel.
      boundary: values outside the image: ``"zeros"``, or ``"edge"`` to clamp coordinates to the
        image.
      implementation: name of an implementation; None selects the best one.

    Returns:
      Samples (N, Ho, Wo, C) in the dtype of ``x``, computed in the widest dtype of the arguments,
      at least float32. At integer coordinates, where interpolation has a kink, the derivative by
      ``coords`` is the one towards larger coordinates; where coordinates are clamped, it is zero.
      A NaN coordinate gives NaN.

    Raises:
      ValueError: shapes that do not match, or an unknown boundary.
      TypeError: an argument that is not floating point.
      UnsupportedError: the named implementation cannot serve the call.
    """
    name = "bilinear_sample"
    x, coords = to_float(name, "x", x), to_float(name, "coords", coords)
    require_rank(name, "x", x, "N, H, W, C")
    require_rank(name, "coords", coords, "N, Ho, Wo, 2")
    require(
        coords.shape[0] == x.shape[0] and coords.shape[3] == 2,
        f"{name}: coords has shape {coords.shape}, expected ({x.shape[0]}, Ho, Wo, 2): a (y, x) "
        "for every output pixel of every image of x.",
    )
    require_pixels(name, x)
    require_boundary(name, boundary)
    return dispatch(name, implementation, BilinearSample(x, coords, boundary=boundary))
