"""Bilinear sampling on the CPU: vectorised C++; see ``kernels/csrc/bilinear_sample``.

The gradients by x and by the coordinates are separate calls, so that a program that needs only one
of them does not compute the other.
"""

from __future__ import annotations

from jax import Array

from s3net_kernels._gradient import make_differentiable
from s3net_kernels._native import call, convert, supports, unavailable
from s3net_kernels.bilinear_sample import xla
from s3net_kernels.operands import BilinearSample

__all__ = ["bilinear_sample", "supports", "unavailable"]


def bilinear_sample(o: BilinearSample) -> Array:
    """See ``api.bilinear_sample``."""
    return _sample(convert(o)).astype(o.x.dtype)


def _compute(o: BilinearSample, *, save: bool):
    shape, edge = (*o.coords.shape[:3], o.x.shape[3]), o.boundary == "edge"
    return call("sampling_forward", [(shape, o.x.dtype)], o.x, o.coords, edge=edge)[0], ()


def _compute_gradients(o: BilinearSample, _kept: tuple[()], dy: Array) -> BilinearSample:
    dy, kind, edge = dy.astype(o.x.dtype), o.coords.dtype, o.boundary == "edge"
    (dx,) = call("sampling_input_gradient", [(o.x.shape, kind)], o.coords, dy, edge=edge)
    results = [(o.coords.shape, kind)]
    (dcoords,) = call("sampling_coords_gradient", results, o.x, o.coords, dy, edge=edge)
    return o.replace(x=dx.astype(o.x.dtype), coords=dcoords)


_sample = make_differentiable(xla.bilinear_sample, _compute, _compute_gradients)
