"""Dense convolution on NVIDIA GPUs, by Pallas kernels."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from s3net_kernels._batching import fold_images
from s3net_kernels._gradient import with_gradient_of
from s3net_kernels._pallas import decline, unavailable
from s3net_kernels._residuals import owning
from s3net_kernels.conv2d import pallas_kernels as kernels
from s3net_kernels.conv2d import xla

__all__ = ["conv2d", "supports", "unavailable"]

MOST_TAPS = 49
"""Largest kernel: each tap loads the image again, if mostly from the cache."""


def supports(x: Array, w: Array, b: Array | None) -> str | None:
    """Declines float64, empty arrays and very large kernels."""
    if w.shape[0] * w.shape[1] > MOST_TAPS:
        return f"it takes kernels of up to {MOST_TAPS} taps, not {w.shape[0]}×{w.shape[1]}"
    return decline(x, w, b)


def conv2d(x: Array, w: Array, b: Array | None) -> Array:
    """See ``api.conv2d``."""
    return _conv(x, w, b)


@jax.custom_vjp
def _conv(x: Array, w: Array, b: Array | None) -> Array:
    return _correlate(x, w, b)


def _forward(x: Array, w: Array, b: Array | None):
    # Of the bias only its dtype is needed, which a residual can't be: keep an empty part.
    return _conv(x, w, b), (x, w, None if b is None else b[:0])


def _backward(saved: tuple[Array, Array, Array | None], g: Array):
    x, w, b = saved
    dx, dw, db = with_gradient_of(_plain_gradients, _gradients)(x, w, g)
    return dx, dw, None if b is None else db.astype(b.dtype)


_conv.defvjp(owning(_forward), _backward)


def _correlate(x: Array, w: Array, b: Array | None) -> Array:
    def run(_: int, x: Array, w: Array, b: Array | None = None) -> Array:
        return kernels.correlate(x, w, b)

    parameters = [w[None], *([] if b is None else [b[None]])]
    return fold_images(run, 1, (True, *[False] * len(parameters)), x, *parameters)


def _gradients(x: Array, w: Array, g: Array) -> tuple[Array, Array, Array]:
    """(dx, dw, db), by kernels; db float32."""

    def run(groups: int, x: Array, g: Array) -> tuple[Array, Array]:
        return kernels.weight_grad(groups, x, g, size=(w.shape[0], w.shape[1]))

    dx = _correlate(g, w[::-1, ::-1].swapaxes(2, 3), None)
    dw, db = fold_images(run, 1, (True, True), x, g)
    return dx.astype(x.dtype), dw[0].astype(w.dtype), db[0]


def _plain_gradients(x: Array, w: Array, g: Array) -> tuple[Array, Array, Array]:
    """The same in plain JAX, to be differentiated again."""
    gradients = jax.vjp(lambda x, w: xla.conv2d(x, w, None), x, w)[1](g)
    return *gradients, jnp.sum(g, (0, 1, 2), jnp.float32)
