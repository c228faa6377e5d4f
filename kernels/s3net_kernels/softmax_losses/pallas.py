"""Losses of a softmax map on NVIDIA GPUs, by Pallas kernels."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from s3net_kernels._batching import fold_images
from s3net_kernels._gradient import with_gradient_of
from s3net_kernels._pallas import decline, unavailable
from s3net_kernels._residuals import owning
from s3net_kernels.softmax_losses import pallas_kernels as kernels
from s3net_kernels.softmax_losses import xla

__all__ = ["softmax_losses", "supports", "unavailable"]

MOST_CLASSES = 256
"""A program holds all classes of a pixel."""
MOST_CODES = 2**31 - 1
"""Codes of one launch: an array of single bytes is addressed in 32 bits up to 2³² of them."""


def supports(
    logits: Array, labels: Array | None, weight: Array | None, *, spatial: bool
) -> str | None:
    """Declines float64, empty arrays, very many classes and enormous images."""
    if logits.shape[3] > MOST_CLASSES:
        return f"it takes up to {MOST_CLASSES} classes, not {logits.shape[3]}"
    image = math.prod(logits.shape[1:])
    if image > MOST_CODES:
        return f"it takes up to {MOST_CODES} logits of an image, not {image}"
    return decline(logits, weight)


def softmax_losses(
    logits: Array, labels: Array | None, weight: Array | None, *, spatial: bool
) -> tuple[Array, Array, Array]:
    """See ``api.softmax_losses``."""
    weight = None if weight is None else lax.stop_gradient(weight)
    return _losses(logits, labels, weight, spatial)


def _folded(function: Callable[..., Any], z: Array, *args: Array | None) -> Any:
    """``function(z, *args)``, whose leading axes are all of images; some may be None."""
    there = [array is not None for array in args]

    def run(_: int, z: Array, *arrays: Array) -> Any:
        def part(images: slice) -> Any:
            left = iter(arrays)
            return function(z[images], *(next(left)[images] if found else None for found in there))

        most = MOST_CODES // math.prod(z.shape[1:])
        parts = [part(slice(n, n + most)) for n in range(0, z.shape[0], most)]
        return parts[0] if len(parts) == 1 else jax.tree.map(lambda *p: jnp.concatenate(p), *parts)

    arrays = [array for array in args if array is not None]
    return fold_images(run, 1, (True,) * (1 + len(arrays)), z, *arrays)


def _value(z: Array, labels: Array | None, weight: Array | None, *, spatial: bool, keep: bool):
    """The results, and (log Σ exp z, codes of the edges' slopes or None) for backward."""

    def run(z: Array, labels: Array | None, weight: Array | None):
        loss, used, lse = kernels.normalise(z, labels, weight)
        edges, codes = jnp.zeros_like(loss), None
        if spatial:
            edges, codes = kernels.edges(z, lse, codes=keep)
        return loss, edges, used, lse, codes

    loss, edges, used, lse, codes = _folded(run, z, labels, weight)
    return (jnp.sum(loss), jnp.sum(edges), used), (lse, codes)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _losses(z: Array, labels: Array | None, weight: Array | None, spatial: bool):
    return _value(z, labels, weight, spatial=spatial, keep=False)[0]


def _forward(z: Array, labels: Array | None, weight: Array | None, spatial: bool):
    def plain(z: Array, *others: Array | None):
        # Nothing is differentiated through what is kept: backward's plain form ignores it.
        lse = jnp.zeros(z.shape[:3], jnp.float32)
        codes = jnp.zeros(z.shape, jnp.int8) if spatial else None
        return xla.softmax_losses(z, *others, spatial=spatial), (lse, codes)

    value = functools.partial(_value, spatial=spatial, keep=True)
    results, kept = with_gradient_of(plain, value)(z, labels, weight)
    return results, (z, results[2], weight, *kept)


def _backward(spatial: bool, saved: tuple[Array | None, ...], cotangents: tuple[Array, ...]):
    def kernel(
        z: Array, labels: Array, weight: Array | None, lse: Array, codes: Array, scale: Array
    ) -> Array:
        scale = jnp.broadcast_to(scale, (z.shape[0], 2))
        return _folded(kernels.backward, z, lse, labels, weight, codes, scale)

    def plain(z: Array, labels: Array, weight: Array | None, *others: Array) -> Array:
        def sums(z: Array):
            return jnp.stack(xla.softmax_losses(z, labels, weight, spatial=spatial)[:2])

        return jax.vjp(sums, z)[1](others[-1])[0]

    scale = jnp.stack(cotangents[:2]).astype(jnp.float32)
    dz = with_gradient_of(plain, kernel)(*saved, scale)
    weight = saved[2]
    return dz, None, None if weight is None else jnp.zeros_like(weight)


_losses.defvjp(owning(_forward), _backward)
