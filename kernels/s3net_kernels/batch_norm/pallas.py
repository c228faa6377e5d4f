"""Batch normalisation on NVIDIA GPUs: Pallas kernels compute sums, XLA the rest.

One read of x gives its statistics; one read of x and the cotangent gives all sums of the backward
pass. XLA fuses the elementwise part with the operations that follow.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from s3net_kernels._gradient import use_gradient
from s3net_kernels._pallas import fold_images, supports, unavailable
from s3net_kernels._residuals import keep_copies
from s3net_kernels.batch_norm import pallas_kernels as kernels
from s3net_kernels.batch_norm import xla
from s3net_kernels.operands import BatchNorm

__all__ = ["batch_norm", "supports", "unavailable"]


def batch_norm(o: BatchNorm) -> Array:
    """See ``api.batch_norm``."""
    return _normalise(o.replace(x=o.x.reshape(1, -1, o.x.shape[-1]))).reshape(o.x.shape)


@jax.custom_vjp
def _normalise(o: BatchNorm) -> Array:
    return _compute(o)[0]


def _compute(o: BatchNorm):
    """Compute (y, mean, 1 / standard deviation), the last two (1, C) float32."""
    mean, variance = fold_images(lambda _, x: kernels.statistics(x), 1, (True,), o.x)
    rstd = jax.lax.rsqrt(variance + o.epsilon)
    factor = rstd * o.scale.astype(jnp.float32)
    y = (o.x.astype(jnp.float32) - mean[:, None]) * factor[:, None] + o.bias.astype(jnp.float32)
    return y.astype(o.x.dtype), mean, rstd


def _compute_plain(o: BatchNorm):
    """Compute the same in plain JAX. No gradient passes through the residuals."""
    none = jnp.zeros((1, o.x.shape[2]), jnp.float32)
    return xla.batch_norm(o), none, none


def _forward(o: BatchNorm):
    y, mean, rstd = use_gradient(_compute_plain, _compute)(o)
    return y, (o, mean, rstd)


def _compute_gradients(o: BatchNorm, mean: Array, rstd: Array, dy: Array) -> BatchNorm:
    """Compute the gradients of all operands."""
    x = o.x
    sums = fold_images(lambda _, *args: kernels.sums(*args), 1, (True,) * 3, x, dy, mean)
    of_dy, of_both = sums[:, 0], sums[:, 1] * rstd
    mean_dy, mean_both = (total[:, None] / x.shape[1] for total in (of_dy, of_both))
    normal = (x.astype(jnp.float32) - mean[:, None]) * rstd[:, None]
    dx = dy.astype(jnp.float32) - mean_dy - normal * mean_both
    dx = dx * (rstd * o.scale.astype(jnp.float32))[:, None]
    found = o.replace(x=dx, scale=of_both[0], bias=of_dy[0])
    return jax.tree.map(lambda gradient, operand: gradient.astype(operand.dtype), found, o)


def _compute_plain_gradients(o: BatchNorm, mean: Array, rstd: Array, dy: Array) -> BatchNorm:
    """Compute the same gradients in plain JAX, differentiable, from x instead of residuals."""
    return jax.vjp(xla.batch_norm, o)[1](dy)[0]


def _backward(saved: Any, dy: Array):
    return (use_gradient(_compute_plain_gradients, _compute_gradients)(*saved, dy),)


_normalise.defvjp(keep_copies(_forward), _backward)
