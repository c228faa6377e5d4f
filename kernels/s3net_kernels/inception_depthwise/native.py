"""Inception of depthwise convolutions on the CPU: one pass over x for all branches.

See ``kernels/csrc/inception``. The library takes the branches' kernels one after the other.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax import Array

from s3net_kernels._check import compute_dtype
from s3net_kernels._gradient import differentiable
from s3net_kernels._native import call, scratch_dtype, storage_dtype, unavailable, unsupported
from s3net_kernels.inception_depthwise import xla

__all__ = [
    "Branches",
    "image_parts",
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
"""Of an image's parts: ``kInceptionPartRows`` and ``kInceptionPartColumns`` of the library."""

_MAX_BRANCHES = 8


def supports(
    x: Array, weights: tuple[Array, ...], biases: tuple[Array, ...], *, dilations: tuple[int, ...]
) -> str | None:
    """Serves up to eight branches on the CPU."""
    if len(weights) > _MAX_BRANCHES:
        return f"it takes at most {_MAX_BRANCHES} branches, not {len(weights)}"
    return unsupported(x, *weights, *biases)


def inception_depthwise(
    x: Array, weights: tuple[Array, ...], biases: tuple[Array, ...], *, dilations: tuple[int, ...]
) -> Array:
    """See ``api.inception_depthwise``."""
    kind = compute_dtype(x, *weights, *biases)
    w, b, branches = join_branches(weights, biases, dilations, kind)
    return _inception(branches)(x.astype(storage_dtype(x, kind)), w, b).astype(x.dtype)


def join_branches(
    weights: tuple[Array, ...], biases: tuple[Array, ...], dilations: tuple[int, ...], kind
) -> tuple[Array, Array, Branches]:
    """All kernels as (taps, C), all biases as (branches, C), and the branches' sizes."""
    branches = tuple((w.shape[0], w.shape[1], d) for w, d in zip(weights, dilations, strict=True))
    w = jnp.concatenate([w.reshape(-1, w.shape[2]).astype(kind) for w in weights])
    return w, jnp.stack([b.astype(kind) for b in biases]), branches


def turn_branches(w: Array, branches: Branches) -> Array:
    """Every kernel of :func:`join_branches` turned by half a turn."""
    return jnp.concatenate([taps[::-1] for taps in _one_by_one(w, branches)])


def split_branches(
    w: Array, b: Array, branches: Branches
) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """The kernels and the biases of :func:`join_branches` one by one again."""
    parts = zip(_one_by_one(w, branches), branches, strict=True)
    return tuple(taps.reshape(kh, kw, -1) for taps, (kh, kw, _) in parts), tuple(b)


def _one_by_one(w: Array, branches: Branches) -> list[Array]:
    sizes = [kh * kw for kh, kw, _ in branches]
    ends = np.cumsum(sizes)
    return [w[end - size : end] for end, size in zip(ends, sizes, strict=True)]


@functools.cache
def _inception(branches: Branches) -> Callable[..., Array]:
    dilations = tuple(dilation for *_, dilation in branches)

    def plain(x: Array, w: Array, b: Array) -> Array:
        return xla.inception_depthwise(x, *split_branches(w, b, branches), dilations=dilations)

    def value(x: Array, w: Array, b: Array, save: bool):
        shape = (*x.shape[:3], len(branches) * x.shape[3])
        return call("inception_forward", [(shape, x.dtype)], x, w, b, branches=branches)[0], ()

    return differentiable(plain, value, functools.partial(_gradients, branches))


def image_parts(x: Array) -> int:
    """Parts of an image of x (N, H, W, C) whose parameters' gradients are summed in one go."""
    return -(-x.shape[1] // _PART_ROWS) * -(-x.shape[2] // _PART_COLUMNS)


def _gradients(branches: Branches, inputs: tuple[Array, ...], _kept: tuple[()], dy: Array):
    x, w, _b = inputs
    taps, channels = w.shape
    results = [
        (x.shape, x.dtype),
        (w.shape, w.dtype),
        ((len(branches), channels), w.dtype),
        ((x.shape[0], image_parts(x), taps + len(branches), channels), scratch_dtype(w.dtype)),
    ]
    turned = turn_branches(w, branches)
    dx, dw, db, _ = call(
        "inception_backward", results, x, turned, dy.astype(x.dtype), branches=branches
    )
    return dx, dw, db
