"""Gated inception on NVIDIA GPUs: depthwise kernels, and one kernel for everything after them.

The residuals for the backward pass are x, the first convolution's result, and the branches.
Branches with their own local convolutions are computed one after the other (``separate.py``).
"""

from __future__ import annotations

from typing import Any

import jax
from jax import Array

from s3net_kernels import _pallas
from s3net_kernels._gradient import use_gradient
from s3net_kernels._pallas import ceil_div, fold_images, unavailable
from s3net_kernels._residuals import keep_copies
from s3net_kernels.depthwise_conv2d import pallas as depthwise
from s3net_kernels.depthwise_conv2d import xla as xla_depthwise
from s3net_kernels.gated_inception import pallas_kernels as kernels
from s3net_kernels.gated_inception import xla
from s3net_kernels.gated_inception.separate import has_own_locals, split, sum_branches
from s3net_kernels.inception_depthwise import pallas as inception
from s3net_kernels.inception_depthwise import xla as xla_inception
from s3net_kernels.operands import GatedInception

__all__ = ["gated_inception", "supports", "unavailable"]

MOST_WEIGHTS = 192 * 64
"""Maximum size of the padded 1×1 weight matrix, because every program sums its gradient."""
_SIDE = 16
"""Multiple to which the sides are padded."""


def supports(o: GatedInception) -> str | None:
    """Decline calls whose depthwise convolutions decline, and many channels."""
    if has_own_locals(o):
        return next(filter(None, map(supports, split(o))), None)
    height, width = o.mix_w.shape
    padded = ceil_div(height, _SIDE) * _SIDE * ceil_div(width, _SIDE) * _SIDE
    if padded > MOST_WEIGHTS:
        most = f"up to {MOST_WEIGHTS} weights of the 1×1 convolution, sides padded to {_SIDE}"
        return f"it supports {most}, not {padded}"
    if not kernels.fits(height, width, o.x.dtype.name):
        sides = f"{height}×{width}"
        return f"a 1×1 convolution of {sides} needs more shared memory than the GPU has"
    reason = depthwise.supports(o.local()) or inception.supports(o.branches(o.x))
    return reason or _pallas.supports(o)


def gated_inception(o: GatedInception) -> Array:
    """See ``api.gated_inception``."""
    return sum_branches(_gate, o) if has_own_locals(o) else _gate(o)


@jax.custom_vjp
def _gate(o: GatedInception) -> Array:
    """Compute gated inception with a local convolution that all branches share."""
    return _compute(o)[0]


def _compute(o: GatedInception):
    """Compute (y, result of the first convolution, branches)."""
    first = o.local()
    local = depthwise.correlate(o.x, first.w, first.b, 1)
    branches = inception.convolve(o.branches(local))

    def run(_: int, x: Array, branches: Array, w: Array, b: Array, residual: Array | None) -> Array:
        added = None if residual is None else _flatten(residual)
        narrow = o.precision == "bfloat16"
        y = kernels.forward(_flatten(x), _flatten(branches), w, b, added, narrow=narrow)
        return y.reshape(x.shape)

    images = (True, True, False, False, True)
    y = fold_images(run, 1, images, o.x, branches, o.mix_w[None], o.mix_b[None], o.residual)
    return y, local, branches


def _flatten(images: Array) -> Array:
    """Reshape (N, H, W, C) to (N, H·W, C)."""
    return images.reshape(images.shape[0], -1, images.shape[3])


def _forward(o: GatedInception):
    # Kernels compute the residuals, which need gradients only if this is differentiated again.
    y, *kept = use_gradient(_compute_plain, _compute)(o)
    return y, (o if o.residual is None else o.replace(residual=o.residual[:0]), *kept)


def _backward(saved: Any, g: Array):
    o, local, branches = saved
    gradients = use_gradient(_compute_plain_gradients, _compute_gradients)
    found = gradients(o.replace(residual=None), local, branches, g)
    return (found.replace(residual=None if o.residual is None else g.astype(o.residual.dtype)),)


_gate.defvjp(keep_copies(_forward), _backward)


def _compute_gradients(
    o: GatedInception, local: Array, branches: Array, g: Array
) -> GatedInception:
    """Compute the gradients of all operands except the residual, with kernels."""

    def run(groups: int, x: Array, branches: Array, g: Array, w: Array, b: Array):
        flat = [_flatten(a) for a in (x, branches, g)]
        narrow = o.precision == "bfloat16"
        dx, dbranches, dw, db = kernels.backward(
            groups, flat[0], flat[1], w, b, flat[2], narrow=narrow
        )
        return dx.reshape(x.shape), dbranches.reshape(branches.shape), dw, db

    images = (True, True, True, False, False)
    dgate, dbranches, dmix_w, dmix_b = fold_images(
        run, 1, images, o.x, branches, g, o.mix_w[None], o.mix_b[None]
    )
    inner, local_w = inception.compute_gradients(o.branches(local), dbranches), o.local().w
    dlocal_w, dlocal_b = depthwise.weight_and_bias_grad(o.x, inner.x, local_w.shape[:2], 1)
    found = o.replace(
        x=depthwise.correlate(inner.x, local_w[::-1, ::-1], None, 1, plus=dgate),
        local_w=dlocal_w,
        local_b=dlocal_b,
        weights=inner.weights,
        biases=inner.biases,
        mix_w=dmix_w[0],
        mix_b=dmix_b[0],
    )
    return jax.tree.map(lambda gradient, operand: gradient.astype(operand.dtype), found, o)


def _compute_plain(o: GatedInception):
    """Compute the same as :func:`_compute` in plain JAX."""
    local = xla_depthwise.depthwise_conv2d(o.local())
    branches = xla_inception.inception_depthwise(o.branches(local))
    return xla.gated_inception(o), local, branches


def _compute_plain_gradients(
    o: GatedInception, local: Array, branches: Array, g: Array
) -> GatedInception:
    """Compute the same gradients in plain JAX, differentiable, from x instead of residuals."""
    return jax.vjp(xla.gated_inception, o)[1](g.astype(o.x.dtype))[0]
