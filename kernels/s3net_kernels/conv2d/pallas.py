"""Dense convolution on NVIDIA GPUs, by Pallas kernels."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from s3net_kernels import _pallas
from s3net_kernels._gradient import use_gradient
from s3net_kernels._pallas import add_group_axis, fold_images, unavailable
from s3net_kernels._residuals import keep_copies
from s3net_kernels.conv2d import pallas_kernels as kernels
from s3net_kernels.conv2d import xla
from s3net_kernels.operands import Conv2d

__all__ = ["conv2d", "supports", "unavailable"]

MOST_TAPS = 49
"""Maximum number of taps: each tap loads the image again, although mostly from the cache."""


def supports(o: Conv2d) -> str | None:
    """Decline float64, empty arrays and very large kernels."""
    kh, kw = o.w.shape[:2]
    if kh * kw > MOST_TAPS:
        return f"it supports kernels of up to {MOST_TAPS} taps, not {kh}×{kw}"
    return _pallas.supports(o)


@jax.custom_vjp
def conv2d(o: Conv2d) -> Array:
    """See ``api.conv2d``."""
    return _correlate(o.x, o.w, o.b)


def _forward(o: Conv2d):
    # Only the dtype of the bias is needed, which cannot be a residual: keep an empty slice.
    return conv2d(o), o if o.b is None else o.replace(b=o.b[:0])


def _backward(o: Conv2d, g: Array):
    dx, dw, db = use_gradient(_compute_plain_gradients, _compute_gradients)(o.x, o.w, g)
    return (o.replace(x=dx, w=dw, b=None if o.b is None else db.astype(o.b.dtype)),)


conv2d.defvjp(keep_copies(_forward), _backward)


def _correlate(x: Array, w: Array, b: Array | None) -> Array:
    def run(_: int, x: Array, w: Array, b: Array | None) -> Array:
        return kernels.correlate(x, w, b)

    return fold_images(run, 1, (True, False, False), x, w[None], add_group_axis(b))


def _compute_gradients(x: Array, w: Array, g: Array) -> tuple[Array, Array, Array]:
    """Compute (dx, dw, db) with kernels; db is float32."""

    def run(groups: int, x: Array, g: Array) -> tuple[Array, Array]:
        return kernels.weight_grad(groups, x, g, size=(w.shape[0], w.shape[1]))

    dx = _correlate(g, w[::-1, ::-1].swapaxes(2, 3), None)
    dw, db = fold_images(run, 1, (True, True), x, g)
    return dx.astype(x.dtype), dw[0].astype(w.dtype), db[0]


def _compute_plain_gradients(x: Array, w: Array, g: Array) -> tuple[Array, Array, Array]:
    """Compute the same gradients in plain JAX, which can be differentiated again."""
    (found,) = jax.vjp(xla.conv2d, Conv2d(x, w))[1](g)
    return found.x, found.w, jnp.sum(g, (0, 1, 2), jnp.float32)
