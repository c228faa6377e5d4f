"""Normalised linear layer on NVIDIA GPUs: the linear layer's kernels do most of the normalisation.

Forward sums the statistics of what it writes. Backward makes the cotangent of the linear layer's
result, which normalisation would write and the linear layer read, where it is used.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from jax import Array

from s3net_kernels._batching import fold_images
from s3net_kernels._gradient import with_gradient_of
from s3net_kernels._pallas import decline, unavailable
from s3net_kernels._residuals import owning
from s3net_kernels.batch_norm import pallas_kernels as norm
from s3net_kernels.linear import pallas as layer
from s3net_kernels.linear import pallas_kernels as kernels
from s3net_kernels.linear.pallas import parameter, present, restored
from s3net_kernels.linear.pallas_backward import backward
from s3net_kernels.linear_norm import xla

__all__ = ["linear_norm", "supports", "unavailable"]


def supports(
    x: Array,
    w: Array,
    b: Array | None,
    residual: Array | None,
    scale: Array,
    bias: Array,
    *,
    epsilon: float,
    precision: str | None,
    through: bool,
) -> str | None:
    """Declines what the linear layer declines."""
    options = {"activation": None, "precision": precision, "through": through}
    return layer.supports(x, w, b, residual, **options) or decline(scale, bias)


def linear_norm(
    x: Array,
    w: Array,
    b: Array | None,
    residual: Array | None,
    scale: Array,
    bias: Array,
    *,
    epsilon: float,
    precision: str | None,
    through: bool,
) -> Array | tuple[Array, Array]:
    """See ``api.linear_norm``."""
    inputs, outputs = w.shape
    rows = x.reshape(1, -1, inputs)
    added = None if residual is None else residual.reshape(1, -1, outputs).astype(x.dtype)
    options = _Options(epsilon, precision, through)
    found = cast(Any, _normalised(rows, _Parameters(w, b, scale, bias), added, options))
    y, same = found if through else (found, rows)
    y = y.reshape(*x.shape[:-1], outputs)
    return (y, same.reshape(x.shape)) if through else y


class _Options(NamedTuple):
    epsilon: float
    precision: str | None
    through: bool

    @property
    def of_kernels(self) -> dict[str, Any]:
        """As the linear layer's kernels take them."""
        return {"gelu": False, "narrow": self.precision == "bfloat16"}


class _Parameters(NamedTuple):
    w: Array
    b: Array | None
    scale: Array
    bias: Array


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _normalised(x: Array, p: _Parameters, residual: Array | None, options: _Options):
    y = _value(options, x, p, residual)[0]
    return (y, x) if options.through else y


def _value(options: _Options, x: Array, p: _Parameters, residual: Array | None):
    """(y, z, mean, 1 / standard deviation), the last two (1, O) float32."""

    def run(_: int, x: Array, w: Array, *rest: Array):
        b, added = restored(rest, p.b, residual)
        return kernels.forward(x, w, b, added, statistics=True, **options.of_kernels)

    args, of_images = present((x, True), (p.w[None], False), parameter(p.b), (residual, True))
    z, mean, variance = fold_images(run, 1, of_images, *args)
    rstd = jax.lax.rsqrt(variance + options.epsilon)
    factor = (rstd * p.scale.astype(jnp.float32))[:, None]
    y = (z.astype(jnp.float32) - mean[:, None]) * factor + p.bias.astype(jnp.float32)
    return y.astype(x.dtype), z, mean, rstd


def _plain_value(options: _Options, x: Array, p: _Parameters, residual: Array | None):
    """The same in plain JAX. Nothing is differentiated through what is kept."""
    y = _plain(options, x, p, residual)
    none = jnp.zeros((1, p.w.shape[1]), jnp.float32)
    return y, jnp.zeros_like(y), none, none


def _plain(options: _Options, x: Array, p: _Parameters, residual: Array | None) -> Array:
    plain = options._replace(through=False)._asdict()
    return cast(Array, xla.linear_norm(x, p.w, p.b, residual, p.scale, p.bias, **plain))


def _forward(x: Array, p: _Parameters, residual: Array | None, options: _Options):
    value = with_gradient_of(
        functools.partial(_plain_value, options), functools.partial(_value, options)
    )
    y, z, mean, rstd = value(x, p, residual)
    return ((y, x) if options.through else y), (x, p, residual, z, mean, rstd)


def _backward(options: _Options, saved: Any, g: Any):
    dy, other = g if options.through else (g, None)
    run = with_gradient_of(
        functools.partial(_plain_gradients, options), functools.partial(_gradients, options)
    )
    return run(*saved, dy, other)


_normalised.defvjp(owning(_forward), _backward)


def _gradients(
    options: _Options,
    x: Array,
    p: _Parameters,
    residual: Array | None,
    z: Array,
    mean: Array,
    rstd: Array,
    dy: Array,
    other: Array | None,
):
    """(dx, gradients of the parameters, dresidual), by kernels."""
    sums = fold_images(lambda _, *args: norm.sums(*args), 1, (True,) * 3, z, dy, mean)
    of_dy, of_both = sums[:, 0], sums[:, 1] * rstd
    a = rstd * p.scale.astype(jnp.float32)
    factors = jnp.stack((a, -a * rstd * of_both / x.shape[1], -a * of_dy / x.shape[1], mean), 1)

    def run(groups: int, x: Array, w: Array, dy: Array, z: Array, factors: Array, *rest: Array):
        b, added = restored(rest, p.b, other)
        found = backward(
            groups,
            x,
            w,
            b,
            dy,
            added,
            normalised=(z, factors),
            keep=residual is not None,
            **options.of_kernels,
        )
        return [f for f in found if f is not None]

    args, of_images = present(
        (x, True),
        (p.w[None], False),
        (dy, True),
        (z, True),
        (factors, True),
        parameter(p.b),
        (other, True),
    )
    dx, dw, *rest = fold_images(run, 1, of_images, *args)
    db, dz = restored(tuple(rest), p.b, residual)
    found = _Parameters(dw[0], None if db is None else db[0], of_both[0], of_dy[0])
    dp = jax.tree.map(lambda gradient, of: gradient.astype(of.dtype), found, p)
    return dx, dp, None if dz is None or residual is None else dz.astype(residual.dtype)


def _plain_gradients(
    options: _Options,
    x: Array,
    p: _Parameters,
    residual: Array | None,
    z: Array,
    mean: Array,
    rstd: Array,
    dy: Array,
    other: Array | None,
):
    """The same in plain JAX, to be differentiated again; made from x, not from what was kept."""
    dx, dp, added = jax.vjp(functools.partial(_plain, options), x, p, residual)[1](dy)
    return (dx if other is None else dx + other), dp, added
