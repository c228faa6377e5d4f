"""Linear layer on NVIDIA GPUs, by Pallas kernels: a matrix product with all around it.

Nothing is kept for backward but the arguments: with an activation, it multiplies once more.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple, cast

import jax
from jax import Array

from s3net_kernels._batching import fold_images
from s3net_kernels._gradient import with_gradient_of
from s3net_kernels._pallas import decline, unavailable
from s3net_kernels._residuals import owning
from s3net_kernels.linear import pallas_kernels as kernels
from s3net_kernels.linear import xla
from s3net_kernels.linear.pallas_backward import backward

__all__ = ["linear", "parameter", "present", "restored", "supports", "unavailable"]

MOST_WEIGHTS = 192 * 128
"""Largest matrix of weights: a program of backward goes through all of it."""
MOST_CHANNELS = 256
"""Largest side of that matrix, so that its blocks fit in shared memory."""


def supports(
    x: Array,
    w: Array,
    b: Array | None,
    residual: Array | None,
    *,
    activation: str | None,
    precision: str | None,
    through: bool,
) -> str | None:
    """Declines float64, empty arrays and large matrices of weights."""
    if w.size > MOST_WEIGHTS or max(w.shape) > MOST_CHANNELS:
        most = f"up to {MOST_WEIGHTS} weights and {MOST_CHANNELS} channels"
        return f"it takes {most}, not {w.shape[0]}×{w.shape[1]}"
    return decline(x, w, b, residual)


def linear(
    x: Array,
    w: Array,
    b: Array | None,
    residual: Array | None,
    *,
    activation: str | None,
    precision: str | None,
    through: bool,
) -> Array | tuple[Array, Array]:
    """See ``api.linear``; factors are rounded to a 16-bit dtype of ``x``."""
    (inputs, outputs), options = w.shape, _Options(activation, precision, through)
    rows = x.reshape(1, -1, inputs)
    added = None if residual is None else residual.reshape(1, -1, outputs)
    found = cast(Any, _linear(rows, w, b, added, options))
    y, same = found if through else (found, rows)
    y = y.reshape(*x.shape[:-1], outputs)
    return (y, same.reshape(x.shape)) if through else y


class _Options(NamedTuple):
    activation: str | None
    precision: str | None
    through: bool

    @property
    def of_kernels(self) -> dict[str, Any]:
        """The same as the kernels take them."""
        return {"gelu": self.activation == "gelu", "narrow": self.precision == "bfloat16"}


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def _linear(x: Array, w: Array, b: Array | None, residual: Array | None, options: _Options):
    def run(_: int, x: Array, w: Array, *rest: Array) -> Array:
        bias, added = restored(rest, b, residual)
        return kernels.forward(x, w, bias, added, **options.of_kernels)

    args, of_images = present((x, True), (w[None], False), parameter(b), (residual, True))
    y = fold_images(run, 1, of_images, *args)
    return (y, x) if options.through else y


def _forward(x: Array, w: Array, b: Array | None, residual: Array | None, options: _Options):
    saved = (x, w, b, None if residual is None else residual[:0])
    return _linear(x, w, b, residual, options), saved


def _backward(options: _Options, saved: tuple[Array, Array, Array | None, Array | None], g):
    x, w, b, residual = saved
    dy, other = g if options.through else (g, None)
    plain = functools.partial(_plain_gradients, options)
    gradients = functools.partial(_gradients, options)
    dx, dw, db = with_gradient_of(plain, gradients)(x, w, b, dy, other)
    return dx, dw, db, None if residual is None else dy.astype(residual.dtype)


_linear.defvjp(owning(_forward), _backward)


def _gradients(
    options: _Options, x: Array, w: Array, b: Array | None, dy: Array, other: Array | None
):
    """(dx, dw, db), by a kernel."""

    def run(groups: int, x: Array, w: Array, dy: Array, *rest: Array):
        bias, added = restored(rest, b, other)
        results = backward(groups, x, w, bias, dy, added, **options.of_kernels)
        return [r for r in results if r is not None]

    args, of_images = present((x, True), (w[None], False), (dy, True), parameter(b), (other, True))
    dx, dw, *db = fold_images(run, 1, of_images, *args)
    return dx, dw[0].astype(w.dtype), None if b is None else db[0][0].astype(b.dtype)


def _plain_gradients(
    options: _Options, x: Array, w: Array, b: Array | None, dy: Array, other: Array | None
):
    """The same in plain JAX, to be differentiated again."""

    def run(x: Array, w: Array, b: Array | None):
        return xla.linear(x, w, b, None, **options._asdict())

    return jax.vjp(run, x, w, b)[1]((dy, other) if options.through else dy)


def parameter(b: Array | None) -> tuple[Array | None, bool]:
    """``b`` as an array of one group of images, for :func:`present`."""
    return None if b is None else b[None], False


def present(*pairs: tuple[Array | None, bool]) -> tuple[list[Array], tuple[bool, ...]]:
    """The arrays that are there, and whether each is of images."""
    there = [(array, of_images) for array, of_images in pairs if array is not None]
    return [array for array, _ in there], tuple(of_images for _, of_images in there)


def restored(rest: tuple[Array, ...], *originals: Array | None) -> list[Array | None]:
    """``rest`` in the places of the originals that are there."""
    found = iter(rest)
    return [None if original is None else next(found) for original in originals]
