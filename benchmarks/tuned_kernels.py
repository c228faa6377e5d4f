"""Every tunable Pallas kernel: what block sizes to try, and a call of it for a problem."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from s3net_kernels import _gather_sum as gather
from s3net_kernels._tuning import Problem
from s3net_kernels.bilinear_sample import pallas_kernels as bilinear
from s3net_kernels.deform_conv2d import pallas_kernels as deform
from s3net_kernels.depthwise_conv2d import pallas_kernels as depthwise

__all__ = ["KERNELS", "Kernel", "problems"]

Blocks = dict[str, int]
Run = Callable[..., Any]


@dataclass(frozen=True)
class Kernel:
    """A kernel whose block sizes can be chosen."""

    heuristic: Callable[[Problem], Blocks]
    candidates: Callable[[Problem], list[Blocks]]
    arguments: Callable[[Problem], tuple[Array, ...]]
    """Arrays of a call; parameters of each image's own, as in a vmapped fit."""
    call: Callable[[Problem, Blocks], Run]
    """A function of the arrays."""


def _normal(*shape: int, dtype: Any = jnp.float32, seed: int = 0) -> Array:
    return jax.random.normal(jax.random.key(seed), shape, jnp.float32).astype(dtype)


def _image(p: Problem, seed: int = 0) -> Array:
    return _normal(p.images, p.height, p.width, p.channels, dtype=p.dtype, seed=seed)


def _deform_images(p: Problem) -> tuple[Array, Array, Array, Array]:
    taps = p.size[0] * p.size[1]
    maps = (p.images, p.height, p.width)
    offset = 2 * _normal(*maps, 2 * taps, seed=1)
    mask = jax.nn.sigmoid(_normal(*maps, taps, seed=2))
    weights = _normal(p.images, *p.size, p.channels, p.features, seed=3) / 24
    return _image(p), offset, mask, weights


def _deform_cotangent(p: Problem) -> Array:
    return _normal(p.images, p.height, p.width, p.features, dtype=p.dtype, seed=4)


def _coords(p: Problem) -> Array:
    """A turned and zoomed grid, as the affine path of the network samples."""
    y, x = jnp.meshgrid(jnp.arange(p.height), jnp.arange(p.width), indexing="ij")
    turned = jnp.stack((0.9 * y + 0.2 * x, -0.2 * y + 0.9 * x), -1).astype(jnp.float32)
    return jnp.broadcast_to(turned, (p.images, *turned.shape))


def _gather_arguments(p: Problem) -> tuple[Array, ...]:
    places = _coords(p).reshape(p.images, -1, 2)
    return places[..., 0], places[..., 1], _image(p).reshape(p.images, -1, p.channels)


KERNELS: dict[str, Kernel] = {
    "depthwise_conv2d.correlate": Kernel(
        depthwise.correlate_heuristic,
        depthwise.correlate_candidates,
        lambda p: (_image(p), _normal(p.images, *p.size, p.channels, seed=1)),
        lambda p, blocks: (
            lambda x, w: depthwise.correlate(x, w, None, dilation=p.dilation, blocks=blocks)
        ),
    ),
    "depthwise_conv2d.weight_grad": Kernel(
        depthwise.weight_grad_heuristic,
        depthwise.weight_grad_candidates,
        lambda p: (_image(p), _image(p, 1)),
        lambda p, blocks: (
            lambda x, g: depthwise.weight_grad(
                p.images, x, g, size=p.size, dilation=p.dilation, blocks=blocks
            )
        ),
    ),
    "deform_conv2d.forward": Kernel(
        deform.heuristic,
        deform.candidates,
        _deform_images,
        lambda p, blocks: (
            lambda x, offset, mask, w: deform.forward(x, offset, mask, w, None, blocks=blocks)
        ),
    ),
    "deform_conv2d.backward": Kernel(
        deform.heuristic,
        deform.candidates,
        lambda p: (*_deform_images(p), _deform_cotangent(p)),
        lambda p, blocks: (
            lambda x, offset, mask, w, g: deform.backward(
                x, offset, mask, w, g, scatter=True, blocks=blocks
            )
        ),
    ),
    "deform_conv2d.weight_grad": Kernel(
        deform.heuristic,
        deform.candidates,
        lambda p: (*_deform_images(p)[:3], _deform_cotangent(p)),
        lambda p, blocks: (
            lambda x, offset, mask, g: deform.weight_grad(
                p.images, x, offset, mask, g, size=p.size, blocks=blocks
            )
        ),
    ),
    "bilinear_sample.forward": Kernel(
        bilinear.heuristic,
        bilinear.candidates,
        lambda p: (_image(p), _coords(p)),
        lambda p, blocks: (
            lambda x, coords: bilinear.forward(x, coords, boundary="edge", blocks=blocks)
        ),
    ),
    "bilinear_sample.backward": Kernel(
        bilinear.heuristic,
        bilinear.candidates,
        lambda p: (_image(p), _coords(p), _image(p, 1)),
        lambda p, blocks: (
            lambda x, coords, g: bilinear.backward(
                x, coords, g, boundary="edge", scatter=True, blocks=blocks
            )
        ),
    ),
    "bilinear_sample.gather_sum": Kernel(
        gather.heuristic,
        gather.candidates,
        _gather_arguments,
        lambda p, blocks: (
            lambda y, x, values: gather.gather_sum(
                y, x, None, values, (p.height, p.width), blocks=blocks
            )
        ),
    ),
}


def problems(
    size: int, channels: int, images: tuple[int, ...], dtypes: tuple[str, ...]
) -> list[Problem]:
    """The problems of a network's step: what to tune, the dearest kernels first."""
    convolutions = [((5, 5), 1), ((3, 3), 1), ((5, 5), 2), ((7, 7), 3)]
    found = []
    for dtype in dtypes:
        for n in images:
            common: dict[str, Any] = {
                "dtype": dtype,
                "images": n,
                "height": size,
                "width": size,
                "channels": channels,
            }
            for direction in ("backward", "weight_grad", "forward"):
                name = f"deform_conv2d.{direction}"
                found.append(Problem(name, features=channels, size=(3, 3), **common))
            for kernel_size, dilation in convolutions:
                for direction in ("weight_grad", "correlate"):
                    name = f"depthwise_conv2d.{direction}"
                    found.append(Problem(name, size=kernel_size, dilation=dilation, **common))
            for direction in ("backward", "forward", "gather_sum"):
                found.append(Problem(f"bilinear_sample.{direction}", **common))
    return found
