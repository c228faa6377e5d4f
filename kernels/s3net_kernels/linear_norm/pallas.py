"""Normalised linear layer on NVIDIA GPUs: the linear layer's kernels do most of the normalisation.

The forward kernel sums the statistics of its own result. The backward kernel computes the
cotangent of the linear layer's result where it is used, instead of reading it from memory.
"""

from __future__ import annotations

from typing import Any, cast

import jax
import jax.numpy as jnp
from jax import Array

from s3net_kernels._gradient import use_gradient
from s3net_kernels._pallas import add_group_axis, fold_images, unavailable
from s3net_kernels._residuals import keep_copies
from s3net_kernels.batch_norm import pallas_kernels as norm
from s3net_kernels.linear import pallas_kernels as kernels
from s3net_kernels.linear.pallas import read_options, supports
from s3net_kernels.linear.pallas_backward import backward
from s3net_kernels.linear_norm import xla
from s3net_kernels.operands import LinearNorm

__all__ = ["linear_norm", "supports", "unavailable"]


def linear_norm(o: LinearNorm) -> Array | tuple[Array, Array]:
    """See ``api.linear_norm``."""
    inputs, outputs = o.w.shape
    residual = o.residual
    if residual is not None:
        residual = residual.reshape(1, -1, outputs).astype(o.x.dtype)
    rows = o.replace(x=o.x.reshape(1, -1, inputs), residual=residual)
    found = _normalise(rows)
    y, same = found if o.through else (found, rows.x)
    y = y.reshape(*o.x.shape[:-1], outputs)
    return (y, same.reshape(o.x.shape)) if o.through else y


@jax.custom_vjp
def _normalise(o: LinearNorm):
    y = _compute(o)[0]
    return (y, o.x) if o.through else y


def _compute(o: LinearNorm):
    """Compute (y, z, mean, 1 / standard deviation), the last two (1, O) float32."""

    def run(_: int, *arrays: Any):
        return kernels.forward(*arrays, statistics=True, **read_options(o.layer()))

    images = (True, False, False, True)
    args = (o.x, o.w[None], add_group_axis(o.b), o.residual)
    z, mean, variance = fold_images(run, 1, images, *args)
    rstd = jax.lax.rsqrt(variance + o.epsilon)
    factor = (rstd * o.scale.astype(jnp.float32))[:, None]
    y = (z.astype(jnp.float32) - mean[:, None]) * factor + o.bias.astype(jnp.float32)
    return y.astype(o.x.dtype), z, mean, rstd


def _compute_plain(o: LinearNorm):
    """Compute the same in plain JAX. No gradient passes through the residuals."""
    y = _apply_plain(o)
    none = jnp.zeros((1, o.w.shape[1]), jnp.float32)
    return y, jnp.zeros_like(y), none, none


def _apply_plain(o: LinearNorm) -> Array:
    return cast(Array, xla.linear_norm(o.replace(through=False)))


def _forward(o: LinearNorm):
    y, z, mean, rstd = use_gradient(_compute_plain, _compute)(o)
    return ((y, o.x) if o.through else y), (o, z, mean, rstd)


def _backward(saved: tuple[LinearNorm, Array, Array, Array], g: Any):
    dy, other = g if saved[0].through else (g, None)
    return (use_gradient(_compute_plain_gradients, _compute_gradients)(*saved, dy, other),)


_normalise.defvjp(keep_copies(_forward), _backward)


def _compute_gradients(
    o: LinearNorm, z: Array, mean: Array, rstd: Array, dy: Array, other: Array | None
) -> LinearNorm:
    """Compute the gradients of all operands with kernels."""
    rows = o.x.shape[1]
    sums = fold_images(lambda _, *args: norm.sums(*args), 1, (True,) * 3, z, dy, mean)
    of_dy, of_both = sums[:, 0], sums[:, 1] * rstd
    a = rstd * o.scale.astype(jnp.float32)
    factors = jnp.stack((a, -a * rstd * of_both / rows, -a * of_dy / rows, mean), 1)

    def run(groups: int, *arrays: Any):
        *args, z, factors = arrays
        options = read_options(o.layer()) | {"keep": o.residual is not None}
        return backward(groups, *args, normalised=(z, factors), **options)

    images = (True, False, False, True, True, True, True)
    args = (o.x, o.w[None], add_group_axis(o.b), dy, other, z, factors)
    dx, dw, db, dz = fold_images(run, 1, images, *args)
    db = None if db is None else db[0]
    found = o.replace(x=dx, w=dw[0], b=db, residual=dz, scale=of_both[0], bias=of_dy[0])
    return jax.tree.map(lambda gradient, operand: gradient.astype(operand.dtype), found, o)


def _compute_plain_gradients(
    o: LinearNorm, z: Array, mean: Array, rstd: Array, dy: Array, other: Array | None
) -> LinearNorm:
    """Compute the same gradients in plain JAX, differentiable, from x instead of residuals."""
    (found,) = jax.vjp(_apply_plain, o)[1](dy)
    return found if other is None else found.replace(x=found.x + other)
