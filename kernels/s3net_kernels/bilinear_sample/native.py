"""Bilinear sampling on the CPU: vectorised C++; see ``kernels/csrc/sampling``.

The gradients by x and by the coordinates are separate calls: a program that needs one of them
does not compute the other.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from jax import Array

from s3net_kernels._check import compute_dtype
from s3net_kernels._gradient import differentiable
from s3net_kernels._native import call, storage_dtype, unavailable, unsupported
from s3net_kernels.bilinear_sample import xla

__all__ = ["bilinear_sample", "supports", "unavailable"]


def supports(x: Array, coords: Array, *, boundary: str) -> str | None:
    """Serves every valid call on the CPU."""
    return unsupported(x, coords)


def bilinear_sample(x: Array, coords: Array, *, boundary: str) -> Array:
    """See ``api.bilinear_sample``."""
    kind = compute_dtype(x, coords)
    storage = storage_dtype(x, kind)
    y = _sample(boundary)(x.astype(storage), coords.astype(kind))
    return y.astype(x.dtype)


@functools.cache
def _sample(boundary: str) -> Callable[..., Array]:
    edge = int(boundary == "edge")

    def value(x: Array, coords: Array, save: bool):
        shape = (*coords.shape[:3], x.shape[3])
        return call("sampling_forward", [(shape, x.dtype)], x, coords, edge=edge)[0], ()

    plain = functools.partial(xla.bilinear_sample, boundary=boundary)
    return differentiable(plain, value, functools.partial(_gradients, edge))


def _gradients(edge: int, inputs: tuple[Array, Array], _kept: tuple[()], dy: Array):
    x, coords = inputs
    dy, kind = dy.astype(x.dtype), coords.dtype
    (dx,) = call("sampling_input_gradient", [(x.shape, kind)], coords, dy, edge=edge)
    results = [(coords.shape, kind)]
    (dcoords,) = call("sampling_coords_gradient", results, x, coords, dy, edge=edge)
    return dx.astype(x.dtype), dcoords
