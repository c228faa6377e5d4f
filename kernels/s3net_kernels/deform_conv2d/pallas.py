"""Deformable convolution on NVIDIA GPUs, by Pallas kernels."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array, lax

from s3net_kernels._batching import fold_images
from s3net_kernels._bilinear import pixel_grid
from s3net_kernels._config import settings
from s3net_kernels._gather_sum import gather_sum
from s3net_kernels._gradient import with_gradient_of
from s3net_kernels._pallas import decline, unavailable
from s3net_kernels._residuals import owning
from s3net_kernels.deform_conv2d import pallas_kernels as kernels
from s3net_kernels.deform_conv2d import xla
from s3net_kernels.deform_conv2d.pallas_backward import backward
from s3net_kernels.deform_conv2d.pallas_input_grad import input_grad, reach_of
from s3net_kernels.deform_conv2d.pallas_planes import Planes, to_planes
from s3net_kernels.deform_conv2d.pallas_scatter import add_outliers, scatter_far

__all__ = ["deform_conv2d", "supports", "unavailable"]


def supports(x: Array, offset: Array, mask: Array, w: Array, b: Array | None) -> str | None:
    """Declines float64 and empty arrays."""
    return decline(x, offset, mask, w, b)


def deform_conv2d(x: Array, offset: Array, mask: Array, w: Array, b: Array | None) -> Array:
    """See ``api.deform_conv2d``."""
    offset, mask = offset.astype(jnp.float32), mask.astype(jnp.float32)
    # All kernels read these; their gradient is that of offset and mask.
    plain = lax.stop_gradient((offset, mask))
    planes = fold_images(lambda _, *maps: to_planes(*maps), 1, (True, True), *plain)
    return _deform(x, offset, mask, planes, w, b)


@jax.custom_vjp
def _deform(
    x: Array, offset: Array, mask: Array, planes: Planes, w: Array, b: Array | None
) -> Array:
    def run(_: int, x: Array, planes: Array, w: Array, b: Array | None = None):
        return kernels.forward(x, planes, w, b)

    parameters = [w[None], *([] if b is None else [b[None]])]
    of_images = (True, True, *[False] * len(parameters))
    return fold_images(run, 1, of_images, x, planes.values, *parameters)


def _forward(x: Array, offset: Array, mask: Array, planes: Planes, w: Array, b: Array | None):
    saved = (x, offset, mask, planes, w, None if b is None else b[:0])
    return _deform(x, offset, mask, planes, w, b), saved


def _backward(saved: tuple[Array, Array, Array, Planes, Array, Array | None], g: Array):
    *args, b = saved
    dx, doffset, dmask, dw = with_gradient_of(_plain_gradients, _gradients)(*args, g)
    db = None if b is None else jnp.sum(g, (0, 1, 2), jnp.float32).astype(b.dtype)
    return dx, doffset, dmask, None, dw, db


_deform.defvjp(owning(_forward), _backward)


def _gradients(x: Array, offset: Array, mask: Array, planes: Planes, w: Array, g: Array):
    """(dx, doffset, dmask, dw), by kernels."""

    def run(groups: int, x: Array, offset: Array, mask: Array, g: Array, w: Array, *parts: Array):
        planes = Planes(*parts)
        rest = (planes.values, w, g)
        rest = (planes.values, w, g)
        if settings().deterministic:
            dx = _ordered_dx(x.shape, offset, mask, g, w)
        else:
            reach = reach_of(planes)
            dx = input_grad(x, *rest, reach, scatter_far(x, *rest, reach))
            dx = add_outliers(dx, *rest, reach)
        return dx.astype(x.dtype), *backward(groups, x, *rest)

    of_images = (True, True, True, True, False, True, True)
    args = (x, offset, mask, g, w[None], *planes)
    dx, doffset, dmask, dw = fold_images(run, 1, of_images, *args)
    return dx, doffset, dmask, dw[0].astype(w.dtype)


def _plain_gradients(x: Array, offset: Array, mask: Array, _: Planes, w: Array, g: Array):
    """The same in plain JAX, to be differentiated again."""
    return jax.vjp(lambda x, o, m, w: xla.deform_conv2d(x, o, m, w, None), x, offset, mask, w)[1](g)


def _ordered_dx(shape: tuple[int, ...], offset: Array, mask: Array, g: Array, w: Array) -> Array:
    """dx without atomic additions. Holds the gradient of all columns: kh·kw feature maps."""
    (images, height, width, channels), (groups, kh, kw, _, features) = shape, w.shape
    grouped = g.reshape(groups, -1, features)
    kernel = w.reshape(groups, kh * kw * channels, features).astype(g.dtype)
    columns = jnp.einsum("gpo,gko->gpk", grouped, kernel, preferred_element_type=jnp.float32)
    values = columns.reshape(images, height * width * kh * kw, channels)
    rows, across = pixel_grid(height, width, jnp.float32)
    i, j = (side.reshape(-1) for side in jnp.broadcast_arrays(*pixel_grid(kh, kw, jnp.float32)))
    y = rows[..., None] + (i - kh // 2) + offset[..., 0::2]
    x = across[..., None] + (j - kw // 2) + offset[..., 1::2]
    y, x, scale = (a.reshape(images, -1) for a in (y, x, mask))
    return gather_sum(y, x, scale, values, (height, width))
