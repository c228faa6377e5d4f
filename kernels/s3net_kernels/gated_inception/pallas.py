"""Gated inception on NVIDIA GPUs: depthwise kernels, and one for all that follows them.

Kept for backward: x, what the first convolution makes of it, and the branches.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
from jax import Array

from s3net_kernels._batching import fold_images
from s3net_kernels._gradient import with_gradient_of
from s3net_kernels._pallas import ceil_div, decline, unavailable
from s3net_kernels._residuals import owning
from s3net_kernels.depthwise_conv2d import pallas as depthwise
from s3net_kernels.depthwise_conv2d import xla as xla_depthwise
from s3net_kernels.gated_inception import pallas_kernels as kernels
from s3net_kernels.gated_inception import xla
from s3net_kernels.inception_depthwise import pallas as inception
from s3net_kernels.inception_depthwise import xla as xla_inception

__all__ = ["gated_inception", "supports", "unavailable"]

MOST_WEIGHTS = 192 * 64
"""Largest matrix of the 1×1 convolution, its sides padded: every program sums its gradient."""
_SIDE = 16
"""What the sides are padded to multiples of."""

Arrays = tuple[Array, ...]


def supports(
    x: Array,
    local_w: Array,
    local_b: Array,
    weights: Arrays,
    biases: Arrays,
    mix_w: Array,
    mix_b: Array,
    residual: Array | None,
    *,
    dilations: tuple[int, ...],
    precision: str | None,
) -> str | None:
    """Declines what its depthwise convolutions decline, and many channels."""
    inputs, outputs = (ceil_div(side, _SIDE) * _SIDE for side in mix_w.shape)
    if inputs * outputs > MOST_WEIGHTS:
        most = f"up to {MOST_WEIGHTS} weights of the 1×1 convolution, sides padded to {_SIDE}"
        return f"it takes {most}, not {inputs * outputs}"
    if not kernels.fits(mix_w.shape[0], mix_w.shape[1], x.dtype.name):
        sides = f"{mix_w.shape[0]}×{mix_w.shape[1]}"
        return f"a 1×1 convolution of {sides} needs more shared memory than the GPU has"
    reason = depthwise.supports(x, local_w, local_b, dilation=1)
    reason = reason or inception.supports(x, weights, biases, dilations=dilations)
    return reason or decline(mix_w, mix_b, residual)


class _Options(NamedTuple):
    dilations: tuple[int, ...]
    precision: str | None

    @property
    def narrow(self) -> bool:
        """Whether factors of the 1×1 convolution are rounded to bfloat16."""
        return self.precision == "bfloat16"


class _Parameters(NamedTuple):
    local_w: Array
    local_b: Array
    weights: Arrays
    biases: Arrays
    mix_w: Array
    mix_b: Array


def gated_inception(
    x: Array,
    local_w: Array,
    local_b: Array,
    weights: Arrays,
    biases: Arrays,
    mix_w: Array,
    mix_b: Array,
    residual: Array | None,
    *,
    dilations: tuple[int, ...],
    precision: str | None,
) -> Array:
    """See ``api.gated_inception``."""
    parameters = _Parameters(local_w, local_b, weights, biases, mix_w, mix_b)
    return _gated(x, parameters, residual, _Options(dilations, precision))


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _gated(x: Array, parameters: _Parameters, residual: Array | None, options: _Options) -> Array:
    return _value(x, parameters, residual, options)[0]


def _value(x: Array, p: _Parameters, residual: Array | None, options: _Options):
    """(y, result of the first convolution, branches)."""
    local = depthwise.correlate(x, p.local_w, p.local_b, 1)
    branches = inception.value(local, p.weights, p.biases, options.dilations)

    def run(_: int, x: Array, branches: Array, w: Array, b: Array, *rest: Array) -> Array:
        flat = [_flat(a) for a in (x, branches, *rest)]
        added = flat[2] if rest else None
        y = kernels.forward(flat[0], flat[1], w, b, added, narrow=options.narrow)
        return y.reshape(x.shape)

    args = [x, branches, p.mix_w[None], p.mix_b[None], *([] if residual is None else [residual])]
    of_images = (True, True, False, False, *[True] * (residual is not None))
    return fold_images(run, 1, of_images, *args), local, branches


def _flat(images: Array) -> Array:
    """(N, H, W, C) as (N, H·W, C)."""
    return images.reshape(images.shape[0], -1, images.shape[3])


def _forward(x: Array, parameters: _Parameters, residual: Array | None, options: _Options):
    # What is kept is made by kernels, and has gradients only where this is differentiated again.
    value = with_gradient_of(
        functools.partial(_plain_value, options), lambda x, p, added: _value(x, p, added, options)
    )
    y, local, branches = value(x, parameters, residual)
    added = None if residual is None else residual[:0]
    return y, (x, parameters, added, local, branches)


def _backward(options: _Options, saved: Any, g: Array):
    x, parameters, added, local, branches = saved
    gradients = with_gradient_of(
        functools.partial(_plain_gradients, options), functools.partial(_gradients, options)
    )
    dx, dparameters = gradients(x, parameters, local, branches, g)
    return dx, dparameters, None if added is None else g.astype(added.dtype)


_gated.defvjp(owning(_forward), _backward)


def _gradients(
    options: _Options, x: Array, p: _Parameters, local: Array, branches: Array, g: Array
):
    """(dx, gradients of the parameters), by kernels."""

    def run(groups: int, x: Array, branches: Array, g: Array, w: Array, b: Array):
        flat = [_flat(a) for a in (x, branches, g)]
        dx, dbranches, dw, db = kernels.backward(
            groups, flat[0], flat[1], w, b, flat[2], narrow=options.narrow
        )
        return dx.reshape(x.shape), dbranches.reshape(branches.shape), dw, db

    of_images = (True, True, True, False, False)
    dgate, dbranches, dmix_w, dmix_b = fold_images(
        run, 1, of_images, x, branches, g, p.mix_w[None], p.mix_b[None]
    )
    dlocal, dweights, dbiases = inception.gradients(options.dilations, local, p.weights, dbranches)
    dlocal_w, dlocal_b = depthwise.weight_and_bias_grad(x, dlocal, p.local_w.shape[:2], 1)
    dx = depthwise.correlate(dlocal, p.local_w[::-1, ::-1], None, 1, plus=dgate)
    found = _Parameters(dlocal_w, dlocal_b, dweights, dbiases, dmix_w[0], dmix_b[0])
    return dx, jax.tree.map(lambda gradient, of: gradient.astype(of.dtype), found, p)


def _plain_value(options: _Options, x: Array, p: _Parameters, residual: Array | None):
    """The same as :func:`_value` in plain JAX."""
    local = xla_depthwise.depthwise_conv2d(x, p.local_w, p.local_b, dilation=1)
    branches = xla_inception.inception_depthwise(
        local, p.weights, p.biases, dilations=options.dilations
    )
    return xla.gated_inception(x, *p, residual, **options._asdict()), local, branches


def _plain_gradients(
    options: _Options, x: Array, p: _Parameters, local: Array, branches: Array, g: Array
):
    """The same in plain JAX, to be differentiated again; made from x, not from what was kept."""

    def run(x: Array, p: _Parameters) -> Array:
        return xla.gated_inception(x, *p, None, **options._asdict())

    return jax.vjp(run, x, p)[1](g.astype(x.dtype))
