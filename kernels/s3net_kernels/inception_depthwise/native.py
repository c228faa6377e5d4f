"""Inception of depthwise convolutions on the CPU: one pass over x for all branches.

See ``kernels/csrc/inception_depthwise``. The library expects the kernels of all branches
concatenated.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array

from s3net_kernels import _native
from s3net_kernels._gradient import make_differentiable
from s3net_kernels._native import call, choose_scratch_dtype, convert, unavailable
from s3net_kernels.inception_depthwise import xla
from s3net_kernels.operands import GatedInception, InceptionDepthwise

__all__ = [
    "count_parts",
    "inception_depthwise",
    "join_branches",
    "split_branches",
    "supports",
    "turn_branches",
    "unavailable",
]

Branches = tuple[tuple[int, int, int], ...]
"""(kernel height, kernel width, dilation) of every branch."""

_PART_ROWS, _PART_COLUMNS = 32, 192
"""Size of an image's parts: ``kInceptionPartRows``, ``kInceptionPartColumns`` of the library."""

_MAX_BRANCHES = 8


def supports(o: InceptionDepthwise | GatedInception) -> str | None:
    """Decline more than eight branches, and devices other than the CPU."""
    if len(o.weights) > _MAX_BRANCHES:
        return f"it supports at most {_MAX_BRANCHES} branches, not {len(o.weights)}"
    return _native.supports(o)


def inception_depthwise(o: InceptionDepthwise) -> Array:
    """See ``api.inception_depthwise``."""
    return _convolve(convert(o)).astype(o.x.dtype)


def join_branches(o: InceptionDepthwise | GatedInception) -> tuple[Array, Array, Branches]:
    """Join all kernels to (taps, C) and all biases to (branches, C); also return the branches."""
    w = jnp.concatenate([w.reshape(-1, w.shape[2]) for w in o.weights])
    sizes = zip(o.weights, o.dilations, strict=True)
    return w, jnp.stack(o.biases), tuple((w.shape[0], w.shape[1], d) for w, d in sizes)


def turn_branches(w: Array, branches: Branches) -> Array:
    """Rotate every kernel of :func:`join_branches` by 180 degrees."""
    return jnp.concatenate([taps[::-1] for taps in _split(w, branches)])


def split_branches(
    w: Array, b: Array, branches: Branches
) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """Split the arrays of :func:`join_branches`, or their gradients, into kernels and biases."""
    parts = zip(_split(w, branches), branches, strict=True)
    return tuple(taps.reshape(kh, kw, -1) for taps, (kh, kw, _) in parts), tuple(b)


def _split(w: Array, branches: Branches) -> list[Array]:
    sizes = [kh * kw for kh, kw, _ in branches]
    ends = np.cumsum(sizes)
    return [w[end - size : end] for end, size in zip(ends, sizes, strict=True)]


def count_parts(x: Array) -> int:
    """Count the parts of an image of x within which parameter gradients are summed."""
    return -(-x.shape[1] // _PART_ROWS) * -(-x.shape[2] // _PART_COLUMNS)


def _compute(o: InceptionDepthwise, *, save: bool):
    w, b, branches = join_branches(o)
    results = [((*o.x.shape[:3], len(branches) * o.x.shape[3]), o.x.dtype)]
    return call("inception_forward", results, o.x, w, b, branches=branches)[0], ()


def _compute_gradients(o: InceptionDepthwise, _kept: tuple[()], dy: Array) -> InceptionDepthwise:
    x, (w, _, branches) = o.x, join_branches(o)
    taps, channels = w.shape
    scratch = (x.shape[0], count_parts(x), taps + len(branches), channels)
    results = [
        (x.shape, x.dtype),
        (w.shape, w.dtype),
        ((len(branches), channels), w.dtype),
        (scratch, choose_scratch_dtype(w.dtype)),
    ]
    operands = (x, turn_branches(w, branches), dy.astype(x.dtype))
    dx, dw, db, _ = call("inception_backward", results, *operands, branches=branches)
    weights, biases = split_branches(dw, db, branches)
    return o.replace(x=dx, weights=weights, biases=biases)


_convolve = make_differentiable(xla.inception_depthwise, _compute, _compute_gradients)
