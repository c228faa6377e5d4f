"""Batch normalisation on NVIDIA GPUs: sums by Pallas kernels, the rest by XLA.

One read of x gives its statistics, one of x and of the cotangent all that backward sums. What is
then done with every value, XLA joins with what follows.
"""

from __future__ import annotations

import functools
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax import Array

from s3net_kernels._batching import fold_images
from s3net_kernels._gradient import with_gradient_of
from s3net_kernels._pallas import decline, unavailable
from s3net_kernels._residuals import owning
from s3net_kernels.batch_norm import pallas_kernels as kernels
from s3net_kernels.batch_norm import xla

__all__ = ["batch_norm", "supports", "unavailable"]


def supports(x: Array, scale: Array, bias: Array, *, epsilon: float) -> str | None:
    """Declines float64 and empty arrays."""
    return decline(x, scale, bias)


def batch_norm(x: Array, scale: Array, bias: Array, *, epsilon: float) -> Array:
    """See ``api.batch_norm``."""
    y = _norm(x.reshape(1, -1, x.shape[-1]), scale, bias, epsilon)
    return cast(Array, y).reshape(x.shape)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _norm(x: Array, scale: Array, bias: Array, epsilon: float) -> Array:
    return _value(epsilon, x, scale, bias)[0]


def _value(epsilon: float, x: Array, scale: Array, bias: Array):
    """(y, mean, 1 / standard deviation), the last two (1, C) float32."""
    mean, variance = fold_images(lambda _, x: kernels.statistics(x), 1, (True,), x)
    rstd = jax.lax.rsqrt(variance + epsilon)
    factor = rstd * scale.astype(jnp.float32)
    y = (x.astype(jnp.float32) - mean[:, None]) * factor[:, None] + bias.astype(jnp.float32)
    return y.astype(x.dtype), mean, rstd


def _plain_value(epsilon: float, x: Array, scale: Array, bias: Array):
    """The same in plain JAX. Nothing is differentiated through what is kept."""
    none = jnp.zeros((1, x.shape[2]), jnp.float32)
    return xla.batch_norm(x, scale, bias, epsilon=epsilon), none, none


def _forward(x: Array, scale: Array, bias: Array, epsilon: float):
    value = with_gradient_of(
        functools.partial(_plain_value, epsilon), functools.partial(_value, epsilon)
    )
    y, mean, rstd = value(x, scale, bias)
    return y, (x, scale, bias, mean, rstd)


def _gradients(x: Array, scale: Array, bias: Array, mean: Array, rstd: Array, dy: Array):
    """(dx, dscale, dbias)."""
    sums = fold_images(lambda _, *args: kernels.sums(*args), 1, (True,) * 3, x, dy, mean)
    of_dy, of_both = sums[:, 0], sums[:, 1] * rstd
    mean_dy, mean_both = (total[:, None] / x.shape[1] for total in (of_dy, of_both))
    normal = (x.astype(jnp.float32) - mean[:, None]) * rstd[:, None]
    dx = dy.astype(jnp.float32) - mean_dy - normal * mean_both
    dx = dx * (rstd * scale.astype(jnp.float32))[:, None]
    return dx.astype(x.dtype), of_both[0].astype(scale.dtype), of_dy[0].astype(bias.dtype)


def _plain_gradients(
    epsilon: float, x: Array, scale: Array, bias: Array, mean: Array, rstd: Array, dy: Array
):
    """The same in plain JAX, to be differentiated again; made from x, not from what was kept."""
    plain = functools.partial(xla.batch_norm, epsilon=epsilon)
    return jax.vjp(plain, x, scale, bias)[1](dy)


def _backward(epsilon: float, saved: Any, dy: Array):
    run = with_gradient_of(functools.partial(_plain_gradients, epsilon), _gradients)
    return run(*saved, dy)


_norm.defvjp(owning(_forward), _backward)
