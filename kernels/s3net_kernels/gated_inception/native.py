"""Gated inception on the CPU: the concatenated branches never leave the cache.

See ``kernels/csrc/gated_inception``. The forward pass keeps the local convolution's result and the
gate; the backward pass recomputes the branches. Branches with their own local convolutions are
computed one after the other (``separate.py``).
"""

from __future__ import annotations

from jax import Array

from s3net_kernels._gradient import make_differentiable
from s3net_kernels._native import (
    call,
    choose_scratch_dtype,
    convert,
    count_packed_columns,
    unavailable,
)
from s3net_kernels._varying import zeros
from s3net_kernels.gated_inception import xla
from s3net_kernels.gated_inception.separate import has_own_locals, sum_branches
from s3net_kernels.inception_depthwise.native import (
    count_parts,
    join_branches,
    split_branches,
    supports,
    turn_branches,
)
from s3net_kernels.operands import GatedInception

__all__ = ["gated_inception", "supports", "unavailable"]


def gated_inception(o: GatedInception) -> Array:
    """See ``api.gated_inception``."""
    operands = convert(o)
    y = sum_branches(_gate, operands) if has_own_locals(o) else _gate(operands)
    return y.astype(o.x.dtype)


def _compute(o: GatedInception, *, save: bool):
    """Compute the result and the residuals: the local convolution's result and the gate."""
    x, (w, b, branches) = o.x, join_branches(o)
    gate = x.shape if save else (0, *x.shape[1:])
    results = [(shape, x.dtype) for shape in (x.shape, x.shape, gate)]
    packed = (o.mix_w.shape[0], count_packed_columns(x.shape[3]))
    results.append((packed, choose_scratch_dtype(w.dtype)))
    added = zeros((0, *x.shape[1:]), x.dtype, x) if o.residual is None else o.residual
    operands = (x, o.local_w, o.local_b, w, b, o.mix_w, o.mix_b, added)
    attributes = {"branches": branches, "reduced": o.precision is not None}
    y, *kept, _ = call("gated_forward", results, *operands, **attributes)
    return y, tuple(kept)


def _compute_gradients(o: GatedInception, kept: tuple[Array, Array], dy: Array) -> GatedInception:
    x, (w, b, branches) = o.x, join_branches(o)
    (local, gate), first = kept, o.local()
    assert first.b is not None
    kind, count, channels = w.dtype, len(branches), x.shape[3]
    parameters = (first.w, first.b, w, b, o.mix_w, o.mix_b)
    kh, kw, _ = first.w.shape
    sums = kh * kw + 1 + w.shape[0] + o.mix_w.shape[0] + 1
    results = [
        (x.shape, x.dtype),
        *((leaf.shape, kind) for leaf in parameters),
        (x.shape, choose_scratch_dtype(x.dtype)),
        ((x.shape[0], count, *x.shape[1:]), choose_scratch_dtype(x.dtype)),
        ((count, channels, count_packed_columns(channels)), choose_scratch_dtype(kind)),
        ((x.shape[0], count_parts(x), sums, channels), choose_scratch_dtype(kind)),
    ]
    dy = dy.astype(x.dtype)
    dx, dlocal_w, dlocal_b, dw, db, dmix_w, dmix_b, *_ = call(
        "gated_backward",
        results,
        x,
        local,
        gate,
        first.w[::-1, ::-1],
        w,
        turn_branches(w, branches),
        b,
        o.mix_w,
        dy,
        branches=branches,
        reduced=o.precision is not None,
    )
    weights, biases = split_branches(dw, db, branches)
    found = o.replace(x=dx, local_w=dlocal_w, local_b=dlocal_b, weights=weights, biases=biases)
    residual = None if o.residual is None else dy
    return found.replace(mix_w=dmix_w, mix_b=dmix_b, residual=residual)


_gate = make_differentiable(xla.gated_inception, _compute, _compute_gradients)
