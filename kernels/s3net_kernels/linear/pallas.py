"""Linear layer on NVIDIA GPUs: Pallas kernels of a matrix product with a fused epilogue.

Only the arguments are kept for the backward pass, which multiplies again if there is an activation.
"""

from __future__ import annotations

from typing import Any

import jax
from jax import Array

from s3net_kernels import _pallas
from s3net_kernels._gradient import use_gradient
from s3net_kernels._pallas import add_group_axis, fold_images, unavailable
from s3net_kernels._residuals import keep_copies
from s3net_kernels.linear import pallas_kernels as kernels
from s3net_kernels.linear import xla
from s3net_kernels.linear.pallas_backward import backward
from s3net_kernels.operands import Linear, LinearNorm

__all__ = ["linear", "read_options", "supports", "unavailable"]

MOST_WEIGHTS = 192 * 128
"""Maximum number of weights: a program of the backward pass reads the whole matrix."""
MOST_CHANNELS = 256
"""Maximum side of the weight matrix, so that its blocks fit in shared memory."""


def supports(o: Linear | LinearNorm) -> str | None:
    """Decline float64, empty arrays and large weight matrices."""
    if o.w.size > MOST_WEIGHTS or max(o.w.shape) > MOST_CHANNELS:
        most = f"up to {MOST_WEIGHTS} weights and {MOST_CHANNELS} channels"
        return f"it supports {most}, not {o.w.shape[0]}×{o.w.shape[1]}"
    return _pallas.supports(o)


def linear(o: Linear) -> Array | tuple[Array, Array]:
    """See ``api.linear``; factors are rounded to a 16-bit dtype of ``x``."""
    inputs, outputs = o.w.shape
    residual = None if o.residual is None else o.residual.reshape(1, -1, outputs)
    rows = o.replace(x=o.x.reshape(1, -1, inputs), residual=residual)
    found = _linear(rows)
    y, same = found if o.through else (found, rows.x)
    y = y.reshape(*o.x.shape[:-1], outputs)
    return (y, same.reshape(o.x.shape)) if o.through else y


def read_options(o: Linear) -> dict[str, Any]:
    """Return the layer's options as keyword arguments of its kernels."""
    return {"gelu": o.activation == "gelu", "narrow": o.precision == "bfloat16"}


@jax.custom_vjp
def _linear(o: Linear):
    def run(_: int, *arrays: Any) -> Array:
        return kernels.forward(*arrays, **read_options(o))

    images = (True, False, False, True)
    y = fold_images(run, 1, images, o.x, o.w[None], add_group_axis(o.b), o.residual)
    return (y, o.x) if o.through else y


def _forward(o: Linear):
    # Only the dtype of ``residual`` is needed, which cannot be saved itself: keep an empty slice.
    return _linear(o), o if o.residual is None else o.replace(residual=o.residual[:0])


def _backward(o: Linear, g: Any):
    dy, other = g if o.through else (g, None)
    found = use_gradient(_compute_plain_gradients, _compute_gradients)(
        o.replace(residual=None), dy, other
    )
    residual = None if o.residual is None else dy.astype(o.residual.dtype)
    return (found.replace(residual=residual),)


_linear.defvjp(keep_copies(_forward), _backward)


def _compute_gradients(o: Linear, dy: Array, other: Array | None) -> Linear:
    """Compute the gradients of all operands except the residual, by a kernel."""

    def run(groups: int, *arrays: Any):
        return backward(groups, *arrays, **read_options(o))[:3]

    images = (True, False, False, True, True)
    args = (o.x, o.w[None], add_group_axis(o.b), dy, other)
    dx, dw, db = fold_images(run, 1, images, *args)
    db = None if o.b is None else db[0].astype(o.b.dtype)
    return o.replace(x=dx, w=dw[0].astype(o.w.dtype), b=db)


def _compute_plain_gradients(o: Linear, dy: Array, other: Array | None) -> Linear:
    """Compute the same gradients in plain JAX, which can be differentiated again."""
    return jax.vjp(xla.linear, o)[1]((dy, other) if o.through else dy)[0]
