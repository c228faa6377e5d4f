"""Gated inception on the CPU: the concatenated branches never leave the cache.

See ``kernels/csrc/gated``. Forward keeps the local convolution's result and the gate; backward
computes the branches again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

from jax import Array

from s3net_kernels._check import compute_dtype
from s3net_kernels._gradient import differentiable
from s3net_kernels._native import (
    call,
    packed_columns,
    reduced,
    scratch_dtype,
    storage_dtype,
    unavailable,
)
from s3net_kernels._varying import zeros
from s3net_kernels.gated_inception import xla
from s3net_kernels.inception_depthwise import native as inception

__all__ = ["gated_inception", "supports", "unavailable"]


def supports(
    x: Array,
    local_w: Array,
    local_b: Array,
    weights: tuple[Array, ...],
    biases: tuple[Array, ...],
    *rest: Array | None,
    dilations: tuple[int, ...],
    precision: str | None,
) -> str | None:
    """Serves up to eight branches on the CPU."""
    return inception.supports(x, weights, biases, dilations=dilations)


class _Parameters(NamedTuple):
    local_w: Array
    local_b: Array
    w: Array
    b: Array
    mix_w: Array
    mix_b: Array


class _Options(NamedTuple):
    branches: inception.Branches
    residual: bool
    reduced: int


def gated_inception(
    x: Array,
    local_w: Array,
    local_b: Array,
    weights: tuple[Array, ...],
    biases: tuple[Array, ...],
    mix_w: Array,
    mix_b: Array,
    residual: Array | None,
    *,
    dilations: tuple[int, ...],
    precision: str | None,
) -> Array:
    """See ``api.gated_inception``."""
    kind = compute_dtype(x, local_w, local_b, *weights, *biases, mix_w, mix_b, residual)
    storage = storage_dtype(x, kind)
    w, b, branches = inception.join_branches(weights, biases, dilations, kind)
    single = (a.astype(kind) for a in (local_w, local_b, mix_w, mix_b))
    local_w, local_b, mix_w, mix_b = single
    parameters = _Parameters(local_w, local_b, w, b, mix_w, mix_b)
    added = zeros((0, *x.shape[1:]), storage, x) if residual is None else residual
    options = _Options(branches, residual is not None, reduced(precision))
    y = _gated(options)(x.astype(storage), parameters, added.astype(storage))
    return y.astype(x.dtype)


@functools.cache
def _gated(options: _Options) -> Callable[..., Array]:
    def plain(x: Array, p: _Parameters, residual: Array) -> Array:
        return xla.gated_inception(
            x,
            p.local_w,
            p.local_b,
            *inception.split_branches(p.w, p.b, options.branches),
            p.mix_w,
            p.mix_b,
            residual if options.residual else None,
            dilations=tuple(dilation for *_, dilation in options.branches),
            precision="bfloat16" if options.reduced else None,
        )

    value = functools.partial(_value, options)
    return differentiable(plain, value, functools.partial(_gradients, options))


def _value(options: _Options, x: Array, p: _Parameters, residual: Array, *, save: bool):
    """With the local convolution's result and the gate."""
    gate = x.shape if save else (0, *x.shape[1:])
    results = [(shape, x.dtype) for shape in (x.shape, x.shape, gate)]
    results.append(((p.mix_w.shape[0], packed_columns(x.shape[3])), scratch_dtype(p.w.dtype)))
    attributes = {"branches": options.branches, "reduced": options.reduced}
    y, *kept, _ = call("gated_forward", results, x, *p, residual, **attributes)
    return y, tuple(kept)


def _gradients(
    options: _Options,
    inputs: tuple[Array, _Parameters, Array],
    kept: tuple[Array, Array],
    dy: Array,
):
    x, p, _residual = inputs
    local, gate = kept
    kind, count, channels = p.w.dtype, len(options.branches), x.shape[3]
    kh, kw, _ = p.local_w.shape
    sums = kh * kw + 1 + p.w.shape[0] + p.mix_w.shape[0] + 1
    results = [
        (x.shape, x.dtype),
        *((leaf.shape, kind) for leaf in p),
        (x.shape, scratch_dtype(x.dtype)),
        ((x.shape[0], count, *x.shape[1:]), scratch_dtype(x.dtype)),
        ((count, channels, packed_columns(channels)), scratch_dtype(kind)),
        ((x.shape[0], inception.image_parts(x), sums, channels), scratch_dtype(kind)),
    ]
    dy = dy.astype(x.dtype)
    dx, *gradients = call(
        "gated_backward",
        results,
        x,
        local,
        gate,
        p.local_w[::-1, ::-1],
        p.w,
        inception.turn_branches(p.w, options.branches),
        p.b,
        p.mix_w,
        dy,
        branches=options.branches,
        reduced=options.reduced,
    )
    return dx, _Parameters(*gradients[:6]), dy if options.residual else dy[:0]
