"""List the tunable Pallas kernels: candidate block sizes, and a call for a problem."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jax import Array

from s3net_kernels._pallas import Problem
from s3net_kernels._pallas import gathering as gather
from s3net_kernels.batch_norm import pallas_kernels as norm
from s3net_kernels.bilinear_sample import pallas_kernels as bilinear
from s3net_kernels.conv2d import pallas_kernels as conv
from s3net_kernels.deform_conv2d import pallas_call as deform_call
from s3net_kernels.deform_conv2d import pallas_kernels as deform
from s3net_kernels.deform_conv2d.pallas_backward import backward as deform_backward
from s3net_kernels.deform_conv2d.pallas_input_grad import Reach, input_grad
from s3net_kernels.deform_conv2d.pallas_scatter import add_outliers, scatter_far
from s3net_kernels.depthwise_conv2d import pallas_kernels as depthwise
from s3net_kernels.gated_inception import pallas_kernels as gated
from s3net_kernels.linear import pallas_kernels as linear
from s3net_kernels.linear.pallas_backward import backward as linear_backward
from s3net_kernels.softmax_losses import pallas_kernels as losses
from s3net_kernels.tune import arguments as arrays

__all__ = ["KERNELS", "Kernel"]

Blocks = dict[str, int]
Run = Callable[..., Any]


@dataclass(frozen=True)
class Kernel:
    """A kernel whose block sizes can be chosen."""

    heuristic: Callable[[Problem], Blocks]
    candidates: Callable[[Problem], list[Blocks]]
    arguments: Callable[[Problem], tuple[Array, ...]]
    """Function of a problem that makes the arrays of a call; each image has its own parameters, as
    in a vmapped fit."""
    call: Callable[[Problem, Blocks], Run]
    """Function of a problem and block sizes that returns a function of the arrays."""


def _linear_forward(gelu: bool) -> Kernel:
    return Kernel(
        linear.heuristic,
        linear.candidates,
        arrays.make_linear,
        lambda p, blocks: (
            lambda x, w, b: linear.forward(x, w, b, None, gelu=gelu, narrow=False, blocks=blocks)
        ),
    )


def _linear_backward(gelu: bool) -> Kernel:
    return Kernel(
        linear.heuristic,
        linear.candidates,
        arrays.make_linear_backward,
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
        lambda p: (arrays.make_image(p), arrays.draw_normal(p.images, *p.size, p.channels, seed=1)),
        lambda p, blocks: (
            lambda x, w: depthwise.correlate(x, w, None, dilation=p.dilation, blocks=blocks)
        ),
    ),
    "depthwise_conv2d.weight_grad": Kernel(
        depthwise.weight_grad_heuristic,
        depthwise.weight_grad_candidates,
        lambda p: (arrays.make_image(p), arrays.make_image(p, 1)),
        lambda p, blocks: (
            lambda x, g: depthwise.weight_grad(
                p.images, x, g, size=p.size, dilation=p.dilation, blocks=blocks
            )
        ),
    ),
    "deform_conv2d.forward": Kernel(
        deform_call.heuristic,
        deform_call.candidates,
        lambda p: arrays.make_deform(p)[:3],
        lambda p, blocks: lambda x, planes, w: deform.forward(x, planes, w, None, blocks=blocks),
    ),
    "deform_conv2d.backward": Kernel(
        deform_call.heuristic,
        deform_call.candidates,
        arrays.make_deform,
        lambda p, blocks: (
            lambda x, planes, w, g: deform_backward(p.images, x, planes, w, g, blocks=blocks)
        ),
    ),
    "deform_conv2d.input_grad": Kernel(
        deform_call.heuristic,
        deform_call.candidates,
        lambda p: (
            *arrays.make_deform_with_reach(p),
            jnp.zeros((p.images, p.height, p.width, p.channels)),
        ),
        lambda p, blocks: (
            lambda x, planes, w, g, windows, far, scattered: input_grad(
                x, planes, w, g, Reach(windows, far), scattered, blocks=blocks
            )
        ),
    ),
    "deform_conv2d.outliers": Kernel(
        deform_call.heuristic,
        deform_call.candidates,
        arrays.make_deform_with_reach,
        lambda p, blocks: (
            lambda x, planes, w, g, *reach: add_outliers(
                x, planes, w, g, Reach(*reach), blocks=blocks
            )
        ),
    ),
    "deform_conv2d.scatter": Kernel(
        deform_call.heuristic,
        deform_call.candidates,
        arrays.make_deform_with_reach,
        lambda p, blocks: (
            lambda x, planes, w, g, windows, far: scatter_far(
                x, planes, w, g, Reach(windows, jnp.ones_like(far)), blocks=blocks
            )
        ),
    ),
    "deform_conv2d.weight_grad": Kernel(
        deform_call.heuristic,
        deform_call.candidates,
        lambda p: (
            arrays.make_image(p),
            arrays.make_deform_planes(p).values,
            arrays.make_features(p),
        ),
        lambda p, blocks: (
            lambda x, planes, g: deform.weight_grad(
                p.images, x, planes, g, size=p.size, blocks=blocks
            )
        ),
    ),
    "gated_inception.forward": Kernel(
        gated.heuristic,
        gated.candidates,
        arrays.make_gated,
        lambda p, blocks: (
            lambda x, branches, w, b, residual: gated.forward(
                x, branches, w, b, residual, narrow=False, blocks=blocks
            )
        ),
    ),
    "gated_inception.backward": Kernel(
        gated.heuristic,
        gated.candidates,
        arrays.make_gated,
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
        lambda p: (arrays.flatten(arrays.make_image(p)),),
        lambda p, blocks: lambda x: norm.statistics(x, blocks=blocks),
    ),
    "batch_norm.sums": Kernel(
        norm.heuristic,
        norm.candidates,
        arrays.make_norm_backward,
        lambda p, blocks: lambda x, dy, mean: norm.sums(x, dy, mean, blocks=blocks),
    ),
    "conv2d.correlate": Kernel(
        conv.heuristic,
        conv.candidates,
        lambda p: (arrays.make_image(p), arrays.make_weights(p), arrays.make_bias(p)),
        lambda p, blocks: lambda x, w, b: conv.correlate(x, w, b, blocks=blocks),
    ),
    "conv2d.weight_grad": Kernel(
        conv.heuristic,
        conv.candidates,
        lambda p: (arrays.make_image(p), arrays.make_features(p)),
        lambda p, blocks: lambda x, g: conv.weight_grad(p.images, x, g, size=p.size, blocks=blocks),
    ),
    "softmax_losses.normalise": Kernel(
        losses.normalise_heuristic,
        losses.normalise_candidates,
        lambda p: (arrays.make_image(p),),
        lambda p, blocks: lambda z: losses.normalise(z, None, None, blocks=blocks),
    ),
    "softmax_losses.edges": Kernel(
        losses.rows_heuristic,
        losses.rows_candidates,
        arrays.make_logsumexp,
        lambda p, blocks: lambda z, lse: losses.edges(z, lse, codes=True, blocks=blocks),
    ),
    "softmax_losses.edges_backward": Kernel(
        losses.rows_heuristic,
        losses.rows_candidates,
        arrays.make_losses,
        lambda p, blocks: (
            lambda z, lse, labels, codes, scale: losses.backward(
                z, lse, labels, None, codes, scale, blocks=blocks
            )
        ),
    ),
    "softmax_losses.backward": Kernel(
        losses.rows_heuristic,
        losses.rows_candidates,
        arrays.make_losses,
        lambda p, blocks: (
            lambda z, lse, labels, codes, scale: losses.backward(
                z, lse, labels, None, None, scale, blocks=blocks
            )
        ),
    ),
    "bilinear_sample.forward": Kernel(
        bilinear.heuristic,
        bilinear.candidates,
        lambda p: (arrays.make_image(p), arrays.make_coords(p)),
        lambda p, blocks: (
            lambda x, coords: bilinear.forward(x, coords, boundary="edge", blocks=blocks)
        ),
    ),
    "bilinear_sample.backward": Kernel(
        bilinear.heuristic,
        bilinear.candidates,
        lambda p: (arrays.make_image(p), arrays.make_coords(p), arrays.make_image(p, 1)),
        lambda p, blocks: (
            lambda x, coords, g: bilinear.backward(
                x, coords, g, boundary="edge", scatter=True, blocks=blocks
            )
        ),
    ),
    "bilinear_sample.gather_sum": Kernel(
        gather.heuristic,
        gather.candidates,
        arrays.make_gathered,
        lambda p, blocks: (
            lambda y, x, values: gather.gather_sum(
                y, x, None, values, (p.height, p.width), blocks=blocks
            )
        ),
    ),
}
