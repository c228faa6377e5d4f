"""Deformable convolution on NVIDIA GPUs, by Pallas kernels."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array, lax

from s3net_kernels._bilinear import make_pixel_grid
from s3net_kernels._config import settings
from s3net_kernels._gradient import use_gradient
from s3net_kernels._pallas import (
    add_group_axis,
    fold_images,
    gather_sum,
    supports,
    unavailable,
)
from s3net_kernels._residuals import keep_copies
from s3net_kernels.deform_conv2d import pallas_kernels as kernels
from s3net_kernels.deform_conv2d import xla
from s3net_kernels.deform_conv2d.pallas_backward import backward
from s3net_kernels.deform_conv2d.pallas_input_grad import find_reach, input_grad
from s3net_kernels.deform_conv2d.pallas_planes import Planes, to_planes
from s3net_kernels.deform_conv2d.pallas_scatter import add_outliers, scatter_far
from s3net_kernels.operands import DeformConv2d

__all__ = ["deform_conv2d", "supports", "unavailable"]


def deform_conv2d(o: DeformConv2d) -> Array:
    """See ``api.deform_conv2d``."""
    offset, mask = o.offset.astype(jnp.float32), o.mask.astype(jnp.float32)
    # All kernels read the planes; the gradient is defined for offset and mask instead.
    plain = lax.stop_gradient((offset, mask))
    planes = fold_images(lambda _, *maps: to_planes(*maps), 1, (True, True), *plain)
    return _deform(o.replace(offset=offset, mask=mask), planes)


@jax.custom_vjp
def _deform(o: DeformConv2d, planes: Planes) -> Array:
    def run(_: int, x: Array, planes: Array, w: Array, b: Array | None):
        return kernels.forward(x, planes, w, b)

    images = (True, True, False, False)
    return fold_images(run, 1, images, o.x, planes.values, o.w[None], add_group_axis(o.b))


def _forward(o: DeformConv2d, planes: Planes):
    return _deform(o, planes), (o if o.b is None else o.replace(b=o.b[:0]), planes)


def _backward(saved: tuple[DeformConv2d, Planes], g: Array):
    o, planes = saved
    found = use_gradient(_compute_plain_gradients, _compute_gradients)(o.replace(b=None), planes, g)
    db = None if o.b is None else jnp.sum(g, (0, 1, 2), jnp.float32).astype(o.b.dtype)
    return found.replace(b=db), None


_deform.defvjp(keep_copies(_forward), _backward)


def _compute_gradients(o: DeformConv2d, planes: Planes, g: Array) -> DeformConv2d:
    """Compute the gradients of all operands except the bias, with kernels."""

    def run(groups: int, x: Array, offset: Array, mask: Array, g: Array, w: Array, *parts: Array):
        planes = Planes(*parts)
        rest = (planes.values, w, g)
        if settings().deterministic:
            dx = _sum_in_order(x.shape, offset, mask, g, w)
        else:
            reach = find_reach(planes)
            dx = input_grad(x, *rest, reach, scatter_far(x, *rest, reach))
            dx = add_outliers(dx, *rest, reach)
        return dx.astype(x.dtype), *backward(groups, x, *rest)

    images = (True, True, True, True, False, True, True)
    args = (o.x, o.offset, o.mask, g, o.w[None], *planes)
    dx, doffset, dmask, dw = fold_images(run, 1, images, *args)
    return DeformConv2d(dx, doffset, dmask, dw[0].astype(o.w.dtype))


def _compute_plain_gradients(o: DeformConv2d, _: Planes, g: Array) -> DeformConv2d:
    """Compute the same gradients in plain JAX, which can be differentiated again."""
    return jax.vjp(xla.deform_conv2d, o)[1](g)[0]


def _sum_in_order(shape: tuple[int, ...], offset: Array, mask: Array, g: Array, w: Array) -> Array:
    """Compute dx without atomic additions.

    This holds the gradient of all columns in memory, which equals kh·kw feature maps.
    """
    (images, height, width, channels), (groups, kh, kw, _, features) = shape, w.shape
    grouped = g.reshape(groups, -1, features)
    kernel = w.reshape(groups, kh * kw * channels, features).astype(g.dtype)
    columns = jnp.einsum("gpo,gko->gpk", grouped, kernel, preferred_element_type=jnp.float32)
    values = columns.reshape(images, height * width * kh * kw, channels)
    rows, across = make_pixel_grid(height, width, jnp.float32)
    i, j = (
        side.reshape(-1) for side in jnp.broadcast_arrays(*make_pixel_grid(kh, kw, jnp.float32))
    )
    y = rows[..., None] + (i - kh // 2) + offset[..., 0::2]
    x = across[..., None] + (j - kw // 2) + offset[..., 1::2]
    y, x, scale = (a.reshape(images, -1) for a in (y, x, mask))
    return gather_sum(y, x, scale, values, (height, width))
