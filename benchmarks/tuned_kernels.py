"""Every tunable Pallas kernel: what block sizes to try, and a call of it for a problem."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from s3net_kernels import _gather_sum as gather
from s3net_kernels._tuning import Problem
from s3net_kernels.batch_norm import pallas_kernels as norm
from s3net_kernels.bilinear_sample import pallas_kernels as bilinear
from s3net_kernels.conv2d import pallas_kernels as conv
from s3net_kernels.deform_conv2d import pallas_call as deform_call
from s3net_kernels.deform_conv2d import pallas_kernels as deform
from s3net_kernels.deform_conv2d.pallas_backward import backward as deform_backward
from s3net_kernels.deform_conv2d.pallas_input_grad import Reach, input_grad, reach_of
from s3net_kernels.deform_conv2d.pallas_planes import Planes, to_planes
from s3net_kernels.deform_conv2d.pallas_scatter import add_outliers, scatter_far
from s3net_kernels.depthwise_conv2d import pallas_kernels as depthwise
from s3net_kernels.gated_inception import pallas_kernels as gated
from s3net_kernels.linear import pallas_kernels as linear
from s3net_kernels.linear.pallas_backward import backward as linear_backward
from s3net_kernels.softmax_losses import pallas_kernels as losses

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


def _uniform(*shape: int, seed: int = 0) -> Array:
    return jax.random.uniform(jax.random.key(seed), shape, jnp.float32)


def _image(p: Problem, seed: int = 0) -> Array:
    return _normal(p.images, p.height, p.width, p.channels, dtype=p.dtype, seed=seed)


def _deform_planes(p: Problem) -> Planes:
    """Offsets and masks like those of a fit: offsets in [0, 1)."""
    taps = p.size[0] * p.size[1]
    maps = (p.images, p.height, p.width)
    return to_planes(*(_uniform(*maps, count, seed=count) for count in (2 * taps, taps)))


def _deform_backward(p: Problem) -> tuple[Array, ...]:
    return (_image(p), _deform_planes(p).values, _weights(p), _features(p))


def _deform_reach(p: Problem) -> tuple[Array, ...]:
    return (*_deform_backward(p), *reach_of(_deform_planes(p)))


def _features(p: Problem, seed: int = 4) -> Array:
    """An array like the result: a cotangent, or what a gate multiplies."""
    return _normal(p.images, p.height, p.width, p.features, dtype=p.dtype, seed=seed)


def _weights(p: Problem) -> Array:
    fan_in = p.size[0] * p.size[1] * p.channels
    return _normal(p.images, *p.size, p.channels, p.features, seed=3) / fan_in**0.5


def _rows(images: Array) -> Array:
    """(N, H, W, C) as (N, H·W, C)."""
    return images.reshape(images.shape[0], -1, images.shape[3])


def _bias(p: Problem) -> Array:
    return _normal(p.images, p.features, seed=5)


def _matrices(p: Problem) -> tuple[Array, Array]:
    return _weights(p)[:, 0, 0], _bias(p)


def _logsumexp(p: Problem) -> tuple[Array, Array]:
    z = _image(p)
    return z, jax.nn.logsumexp(z.astype(jnp.float32), -1)


def _losses_arguments(p: Problem) -> tuple[Array, ...]:
    """Logits, their logarithmic sums, labels, codes of edges and factors of both losses."""
    z, lse = _logsumexp(p)
    codes = jax.random.randint(jax.random.key(1), z.shape, -62, 63, jnp.int8)
    return z, lse, jnp.argmax(z, -1).astype(jnp.int32), codes, jnp.ones((p.images, 2))


def _coords(p: Problem) -> Array:
    """A turned and zoomed grid, as the affine path of the network samples."""
    y, x = jnp.meshgrid(jnp.arange(p.height), jnp.arange(p.width), indexing="ij")
    turned = jnp.stack((0.9 * y + 0.2 * x, -0.2 * y + 0.9 * x), -1).astype(jnp.float32)
    return jnp.broadcast_to(turned, (p.images, *turned.shape))


def _gather_arguments(p: Problem) -> tuple[Array, ...]:
    places = _coords(p).reshape(p.images, -1, 2)
    return places[..., 0], places[..., 1], _image(p).reshape(p.images, -1, p.channels)


def _linear_forward(gelu: bool) -> Kernel:
    return Kernel(
        linear.heuristic,
        linear.candidates,
        lambda p: (_rows(_image(p)), *_matrices(p)),
        lambda p, blocks: (
            lambda x, w, b: linear.forward(x, w, b, None, gelu=gelu, narrow=False, blocks=blocks)
        ),
    )


def _linear_backward(gelu: bool) -> Kernel:
    return Kernel(
        linear.heuristic,
        linear.candidates,
        lambda p: (_rows(_image(p)), *_matrices(p), _rows(_features(p))),
        lambda p, blocks: (
            lambda x, w, b, g: linear_backward(
                p.images, x, w, b, g, None, gelu=gelu, narrow=False, blocks=blocks
            )
        ),
    )


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
        deform_call.heuristic,
        deform_call.candidates,
        lambda p: _deform_backward(p)[:3],
        lambda p, blocks: lambda x, planes, w: deform.forward(x, planes, w, None, blocks=blocks),
    ),
    "deform_conv2d.backward": Kernel(
        deform_call.heuristic,
        deform_call.candidates,
        _deform_backward,
        lambda p, blocks: (
            lambda x, planes, w, g: deform_backward(p.images, x, planes, w, g, blocks=blocks)
        ),
    ),
    "deform_conv2d.input_grad": Kernel(
        deform_call.heuristic,
        deform_call.candidates,
        lambda p: (*_deform_reach(p), jnp.zeros((p.images, p.height, p.width, p.channels))),
        lambda p, blocks: (
            lambda x, planes, w, g, windows, far, scattered: input_grad(
                x, planes, w, g, Reach(windows, far), scattered, blocks=blocks
            )
        ),
    ),
    "deform_conv2d.outliers": Kernel(
        deform_call.heuristic,
        deform_call.candidates,
        _deform_reach,
        lambda p, blocks: (
            lambda x, planes, w, g, *reach: add_outliers(
                x, planes, w, g, Reach(*reach), blocks=blocks
            )
        ),
    ),
    "deform_conv2d.scatter": Kernel(
        deform_call.heuristic,
        deform_call.candidates,
        _deform_reach,
        lambda p, blocks: (
            lambda x, planes, w, g, windows, far: scatter_far(
                x, planes, w, g, Reach(windows, jnp.ones_like(far)), blocks=blocks
            )
        ),
    ),
    "deform_conv2d.weight_grad": Kernel(
        deform_call.heuristic,
        deform_call.candidates,
        lambda p: (_image(p), _deform_planes(p).values, _features(p)),
        lambda p, blocks: (
            lambda x, planes, g: deform.weight_grad(
                p.images, x, planes, g, size=p.size, blocks=blocks
            )
        ),
    ),
    "gated_inception.forward": Kernel(
        gated.heuristic,
        gated.candidates,
        lambda p: (_rows(_features(p)), _rows(_image(p)), *_matrices(p), _rows(_features(p, 1))),
        lambda p, blocks: (
            lambda x, branches, w, b, residual: gated.forward(
                x, branches, w, b, residual, narrow=False, blocks=blocks
            )
        ),
    ),
    "gated_inception.backward": Kernel(
        gated.heuristic,
        gated.candidates,
        lambda p: (_rows(_features(p)), _rows(_image(p)), *_matrices(p), _rows(_features(p, 1))),
        lambda p, blocks: (
            lambda x, branches, w, b, g: gated.backward(
                p.images, x, branches, w, b, g, narrow=False, blocks=blocks
            )
        ),
    ),
    "linear.forward": _linear_forward(gelu=False),
    "linear.gelu_forward": _linear_forward(gelu=True),
    "linear.backward": _linear_backward(gelu=False),
    "linear.gelu_backward": _linear_backward(gelu=True),
    "batch_norm.statistics": Kernel(
        norm.heuristic,
        norm.candidates,
        lambda p: (_rows(_image(p)),),
        lambda p, blocks: lambda x: norm.statistics(x, blocks=blocks),
    ),
    "batch_norm.sums": Kernel(
        norm.heuristic,
        norm.candidates,
        lambda p: (_rows(_image(p)), _rows(_image(p, 1)), _bias(replace(p, features=p.channels))),
        lambda p, blocks: lambda x, dy, mean: norm.sums(x, dy, mean, blocks=blocks),
    ),
    "conv2d.correlate": Kernel(
        conv.heuristic,
        conv.candidates,
        lambda p: (_image(p), _weights(p), _bias(p)),
        lambda p, blocks: lambda x, w, b: conv.correlate(x, w, b, blocks=blocks),
    ),
    "conv2d.weight_grad": Kernel(
        conv.heuristic,
        conv.candidates,
        lambda p: (_image(p), _features(p)),
        lambda p, blocks: lambda x, g: conv.weight_grad(p.images, x, g, size=p.size, blocks=blocks),
    ),
    "softmax_losses.normalise": Kernel(
        losses.normalise_heuristic,
        losses.normalise_candidates,
        lambda p: (_image(p),),
        lambda p, blocks: lambda z: losses.normalise(z, None, None, blocks=blocks),
    ),
    "softmax_losses.edges": Kernel(
        losses.rows_heuristic,
        losses.rows_candidates,
        _logsumexp,
        lambda p, blocks: lambda z, lse: losses.edges(z, lse, codes=True, blocks=blocks),
    ),
    "softmax_losses.edges_backward": Kernel(
        losses.rows_heuristic,
        losses.rows_candidates,
        _losses_arguments,
        lambda p, blocks: (
            lambda z, lse, labels, codes, scale: losses.backward(
                z, lse, labels, None, codes, scale, blocks=blocks
            )
        ),
    ),
    "softmax_losses.backward": Kernel(
        losses.rows_heuristic,
        losses.rows_candidates,
        _losses_arguments,
        lambda p, blocks: (
            lambda z, lse, labels, codes, scale: losses.backward(
                z, lse, labels, None, None, scale, blocks=blocks
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
    depthwise_sizes = [((5, 5), 1), ((3, 3), 1), ((5, 5), 2), ((7, 7), 3)]
    taps = 9
    # (kernel, input channels, output channels, size)
    products = [
        ("gated_inception.backward", 3 * channels, channels, (1, 1)),
        ("gated_inception.forward", 3 * channels, channels, (1, 1)),
        ("linear.backward", channels, channels, (1, 1)),
        ("linear.gelu_backward", channels, channels, (1, 1)),
        ("linear.forward", channels, channels, (1, 1)),
        ("linear.gelu_forward", channels, channels, (1, 1)),
        ("conv2d.weight_grad", channels, 3 * taps, (3, 3)),
        ("conv2d.correlate", channels, 3 * taps, (3, 3)),
        ("conv2d.correlate", 3 * taps, channels, (3, 3)),
        ("conv2d.weight_grad", 3, channels, (3, 3)),
        ("conv2d.correlate", 3, channels, (3, 3)),
    ]
    maps = [
        "batch_norm.sums",
        "batch_norm.statistics",
        "bilinear_sample.backward",
        "softmax_losses.edges_backward",
        "softmax_losses.edges",
        "softmax_losses.backward",
        "softmax_losses.normalise",
        "bilinear_sample.forward",
        "bilinear_sample.gather_sum",
    ]
    found = []
    for dtype in dtypes:
        for n in images:

            def problem(
                name: str,
                inputs: int = channels,
                outputs: int = 0,
                kernel: tuple[int, int] = (1, 1),
                dilation: int = 1,
                *,
                dtype: str = dtype,
                n: int = n,
            ) -> Problem:
                # The matrix products know no rows and columns of an image.
                flat = name.startswith(("linear.", "gated_inception.", "batch_norm."))
                height, width = (1, size * size) if flat else (size, size)
                return Problem(name, dtype, n, height, width, inputs, outputs, kernel, dilation)

            for direction in ("backward", "input_grad", "forward", "scatter", "outliers"):
                found.append(problem(f"deform_conv2d.{direction}", channels, channels, (3, 3)))
            # Of layers too large for ``backward`` to hold the sums.
            found.append(problem("deform_conv2d.weight_grad", 2 * channels, 2 * channels, (3, 3)))
            for kernel, dilation in depthwise_sizes:
                for direction in ("weight_grad", "correlate"):
                    name = f"depthwise_conv2d.{direction}"
                    found.append(problem(name, channels, 0, kernel, dilation))
            found += [problem(*product) for product in products]
            found += [problem(name) for name in maps]
    return found
