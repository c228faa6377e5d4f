"""Losses of a softmax map on NVIDIA GPUs, by Pallas kernels."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from s3net_kernels import _pallas
from s3net_kernels._gradient import use_gradient
from s3net_kernels._pallas import fold_images, unavailable
from s3net_kernels._residuals import keep_copies
from s3net_kernels.operands import SoftmaxLosses
from s3net_kernels.softmax_losses import pallas_kernels as kernels
from s3net_kernels.softmax_losses import xla

__all__ = ["softmax_losses", "supports", "unavailable"]

MOST_CLASSES = 256
"""Maximum number of classes, because a program holds all classes of a pixel."""
MOST_CODES = 2**31 - 1
"""Maximum number of codes per launch: byte arrays are addressed in 32 bits up to 2³² elements."""


def supports(o: SoftmaxLosses) -> str | None:
    """Decline float64, empty arrays, very many classes and very large images."""
    if o.logits.shape[3] > MOST_CLASSES:
        return f"it supports up to {MOST_CLASSES} classes, not {o.logits.shape[3]}"
    image = math.prod(o.logits.shape[1:])
    if image > MOST_CODES:
        return f"it supports up to {MOST_CODES} logits of an image, not {image}"
    return _pallas.supports(o.logits, o.weight)


def softmax_losses(o: SoftmaxLosses) -> tuple[Array, Array, Array]:
    """See ``api.softmax_losses``."""
    weight = None if o.weight is None else lax.stop_gradient(o.weight)
    return _sum_losses(o.replace(weight=weight))


def _fold(function: Callable[..., Any], z: Array, *args: Array | None) -> Any:
    """Call ``function(z, *args)``, whose leading axes are all images; arguments may be None."""

    def run(_: int, z: Array, *arrays: Array | None) -> Any:
        def call_part(images: slice) -> Any:
            return function(*(None if a is None else a[images] for a in (z, *arrays)))

        most = MOST_CODES // math.prod(z.shape[1:])
        parts = [call_part(slice(n, n + most)) for n in range(0, z.shape[0], most)]
        return parts[0] if len(parts) == 1 else jax.tree.map(lambda *p: jnp.concatenate(p), *parts)

    return fold_images(run, 1, (True,) * (1 + len(args)), z, *args)


def _compute(o: SoftmaxLosses, *, keep: bool):
    """Compute the results, and the residuals: log Σ exp z, and codes of edge slopes or None."""

    def run(z: Array, labels: Array | None, weight: Array | None):
        loss, used, lse = kernels.normalise(z, labels, weight)
        edges, codes = jnp.zeros_like(loss), None
        if o.spatial:
            edges, codes = kernels.edges(z, lse, codes=keep)
        return loss, edges, used, lse, codes

    loss, edges, used, lse, codes = _fold(run, o.logits, o.labels, o.weight)
    return (jnp.sum(loss), jnp.sum(edges), used), (lse, codes)


@jax.custom_vjp
def _sum_losses(o: SoftmaxLosses):
    return _compute(o, keep=False)[0]


def _forward(o: SoftmaxLosses):
    def plain(o: SoftmaxLosses):
        # No gradient passes through the residuals: the plain backward pass ignores them.
        lse = jnp.zeros(o.logits.shape[:3], jnp.float32)
        codes = jnp.zeros(o.logits.shape, jnp.int8) if o.spatial else None
        return xla.softmax_losses(o), (lse, codes)

    value = functools.partial(_compute, keep=True)
    results, kept = use_gradient(plain, value)(o)
    return results, (o.replace(labels=results[2]), *kept)


def _backward(saved: tuple[Any, ...], cotangents: tuple[Array, ...]):
    scale = jnp.stack(cotangents[:2]).astype(jnp.float32)
    dz = use_gradient(_compute_plain_gradient, _compute_gradient)(*saved, scale)
    o = saved[0]
    return (o.replace(logits=dz, labels=None, weight=jax.tree.map(jnp.zeros_like, o.weight)),)


def _compute_gradient(o: SoftmaxLosses, lse: Array, codes: Array | None, scale: Array) -> Array:
    """Compute the gradient of the logits by a kernel."""
    scale = jnp.broadcast_to(scale, (o.logits.shape[0], 2))
    return _fold(kernels.backward, o.logits, lse, o.labels, o.weight, codes, scale)


def _compute_plain_gradient(
    o: SoftmaxLosses, lse: Array, codes: Array | None, scale: Array
) -> Array:
    """Compute the same in plain JAX."""

    def sums(z: Array):
        return jnp.stack(xla.softmax_losses(o.replace(logits=z))[:2])

    return jax.vjp(sums, o.logits)[1](scale)[0]


_sum_losses.defvjp(keep_copies(_forward), _backward)
