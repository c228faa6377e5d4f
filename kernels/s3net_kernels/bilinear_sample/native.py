"""Bilinear sampling on the CPU: vectorised C++; see ``kernels/csrc/sampling``.

The gradients by x and by the coordinates are separate calls: a program that needs one of them
does not compute the other.
"""

from __future__ import annotations

import functools
from typing import cast

import jax
from jax import Array

from s3net_kernels._check import compute_dtype
from s3net_kernels._native import call, storage_dtype, unavailable, unsupported

__all__ = ["bilinear_sample", "supports", "unavailable"]


def supports(x: Array, coords: Array, *, boundary: str) -> str | None:
    """Serves every valid call on the CPU."""
    return unsupported(x, coords)


def bilinear_sample(x: Array, coords: Array, *, boundary: str) -> Array:
    """See ``api.bilinear_sample``."""
    kind = compute_dtype(x, coords)
    storage = storage_dtype(x, kind)
    y = _sample(x.astype(storage), coords.astype(kind), boundary == "edge")
    return cast(Array, y).astype(x.dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _sample(x: Array, coords: Array, edge: bool) -> Array:
    shape = (*coords.shape[:3], x.shape[3])
    return call("sampling_forward", [(shape, x.dtype)], x, coords, edge=int(edge))[0]


def _sample_fwd(x: Array, coords: Array, edge: bool):
    return _sample(x, coords, edge), (x, coords)


def _sample_bwd(edge: bool, saved: tuple[Array, Array], dy: Array):
    x, coords = saved
    dy, kind = dy.astype(x.dtype), coords.dtype
    (dx,) = call("sampling_input_gradient", [(x.shape, kind)], coords, dy, edge=int(edge))
    results = [(coords.shape, kind)]
    (dcoords,) = call("sampling_coords_gradient", results, x, coords, dy, edge=int(edge))
    return dx.astype(x.dtype), dcoords


_sample.defvjp(_sample_fwd, _sample_bwd)
