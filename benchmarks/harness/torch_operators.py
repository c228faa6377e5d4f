"""Run the operators of ``s3net_kernels`` in PyTorch, on the arguments of an ArgSpec.

Each argument is converted to PyTorch's layout once, outside any timing: images channels-last,
offsets and masks contiguous, kernels as (out, in, height, width).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import ml_dtypes
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.harness.machine import get_torch_device
from benchmarks.torch_reference.deform import count_channel_groups, deform_conv2d
from benchmarks.torch_reference.depthwise import convolve_depthwise
from benchmarks.torch_reference.losses import spatial_loss
from s3net_kernels.testing import ArgSpec

__all__ = ["TorchCall", "build_torch_call"]

# Permutations from JAX's axes to PyTorch's, by kind of argument.
_IMAGE, _DEPTHWISE, _DENSE = (0, 3, 1, 2), (2, 0, 1), (3, 2, 0, 1)
_AXES: dict[str, tuple[tuple[int, ...] | None, ...]] = {
    # One entry for each leaf, in order; the last entry also applies to all further leaves.
    "depthwise_conv2d": (_IMAGE, _DEPTHWISE, None),
    "deform_conv2d": (_IMAGE, _IMAGE, _IMAGE, _DENSE, None),
    "bilinear_sample": (_IMAGE, None),
    "affine_warp": (_IMAGE, None),
    "linear": (None, (1, 0), None),
    "batch_norm": (None,),
    "linear_norm": (None, (1, 0), None),
    "conv2d": (_IMAGE, _DENSE, None),
    "softmax_losses": (None,),
}


@dataclass(frozen=True)
class TorchCall:
    """A call of an operator on PyTorch tensors."""

    function: Callable[..., Tensor]
    leaves: list[Tensor]
    """Arguments in the order of the leaves of the spec's arguments; all require gradients."""
    axes: list[tuple[int, ...] | None]
    """Axis permutation applied to each leaf; None for unchanged axes."""
    image: bool
    """Whether the result is an image with channels first."""

    def value(self) -> Tensor:
        """Compute the result, in PyTorch's layout."""
        return self.function(*self.leaves)

    def cotangent(self, array: np.ndarray) -> Tensor:
        """Convert a cotangent of the result from JAX's layout."""
        return _move_axes(array, _IMAGE if self.image else None)

    def value_and_gradients(self, cotangent: Tensor) -> list[Tensor]:
        """Compute the result and the gradient of every leaf, in PyTorch's layout."""
        value = self.value()
        return [value, *torch.autograd.grad(value, self.leaves, cotangent)]

    def to_jax_layout(self, results: list[Tensor]) -> list[np.ndarray]:
        """Convert the results of :meth:`value_and_gradients` to JAX's layout and float64."""
        value, *gradients = (r.detach().double().cpu().numpy() for r in results)
        back = [value.transpose(0, 2, 3, 1) if self.image else value]
        for gradient, axes in zip(gradients, self.axes, strict=True):
            if axes is None:
                back.append(gradient)
                continue
            squeezed = gradient[:, 0] if axes == _DEPTHWISE else gradient
            back.append(squeezed.transpose(np.argsort(axes)))
        return back


def build_torch_call(spec: ArgSpec, args: tuple[Any, ...]) -> TorchCall | None:
    """Build the call of ``spec`` on ``args``, or None if the reference has no equivalent.

    Args:
      spec: operator and options of the call.
      args: arguments from ``spec.make()``; in bfloat16, parameters follow the image's dtype.
    """
    flat = jax.tree.leaves(args)
    if spec.operator in ("inception_depthwise", "gated_inception"):
        branches = len(spec.options["dilations"])
        axes = [_IMAGE, *[_DEPTHWISE] * branches, *[None] * branches]
        if spec.operator == "gated_inception":
            count = len(jax.tree.leaves(args[1]))  # local convolutions: one, or one a branch
            axes = [_IMAGE, *[_DEPTHWISE] * count, *[None] * count, *axes[1:], (1, 0), None]
            axes += [_IMAGE] * (len(flat) - len(axes))
    else:
        known = _AXES[spec.operator]
        axes = [known[min(n, len(known) - 1)] for n in range(len(flat))]
    if spec.operator == "deform_conv2d" and args[3].shape[0] != args[3].shape[1]:
        return None
    low = args[0].dtype == ml_dtypes.bfloat16
    # Coordinates need more precision than bfloat16 has.
    wide = spec.operator in ("deform_conv2d", "bilinear_sample", "affine_warp")
    leaves = []
    for n, (array, order) in enumerate(zip(flat, axes, strict=True)):
        kind = torch.bfloat16 if low and (n == 0 or not wide) else None
        planes = spec.operator == "deform_conv2d" and n in (1, 2)
        leaves.append(_move_axes(array, order, kind, planes).requires_grad_())
    function = _FUNCTIONS[spec.operator](spec, flat)
    image = spec.operator not in ("linear", "batch_norm", "linear_norm", "softmax_losses")
    return TorchCall(function, leaves, axes, image)


def _move_axes(
    array: Any, axes: tuple[int, ...] | None, kind: Any = None, planes: bool = False
) -> Tensor:
    array = np.asarray(array)
    low = array.dtype == ml_dtypes.bfloat16
    tensor = torch.tensor(array.astype(np.float32) if low else array)
    if axes is not None:
        tensor = tensor.permute(axes)
        if axes == _DEPTHWISE:
            tensor = tensor[:, None]
        image = axes == _IMAGE and not planes
        layout = torch.channels_last if image else torch.contiguous_format
        tensor = tensor.contiguous(memory_format=layout)
    dtype = kind or (torch.bfloat16 if low else tensor.dtype)
    return tensor.to(device=get_torch_device(), dtype=dtype).detach()


def _convolve_depthwise(x: Tensor, w: Tensor, b: Tensor | None, dilation: int) -> Tensor:
    kh, kw = w.shape[2:]
    # Faster on a CPU where it applies; see torch_reference/README.md.
    if x.device.type == "cpu" and b is not None and kh == kw > 3:
        return convolve_depthwise(x, w, b, dilation)
    padding = (dilation * (kh // 2), dilation * (kw // 2))
    return F.conv2d(x, w, b, padding=padding, dilation=dilation, groups=x.shape[1])


def _build_depthwise(spec: ArgSpec, flat: list[Any]) -> Callable[..., Tensor]:
    dilation = spec.options["dilation"]
    return lambda x, w, b=None: _convolve_depthwise(x, w, b, dilation)


def _run_branches(x: Tensor, parameters: tuple[Tensor, ...], dilations: tuple[int, ...]) -> Tensor:
    n = len(dilations)
    weights, biases = parameters[:n], parameters[n:]
    return torch.cat(
        [_convolve_depthwise(x, *p) for p in zip(weights, biases, dilations, strict=True)], 1
    )


def _build_inception(spec: ArgSpec, flat: list[Any]) -> Callable[..., Tensor]:
    return lambda x, *parameters: _run_branches(x, parameters, spec.options["dilations"])


def _build_gated(spec: ArgSpec, flat: list[Any]) -> Callable[..., Tensor]:
    dilations = spec.options["dilations"]
    n, count = len(dilations), len(jax.tree.leaves(spec.args[1]))

    def run_gated(x: Tensor, *parameters: Tensor) -> Tensor:
        first, rest = parameters[: 2 * count], parameters[2 * count :]
        pairs = zip(first[:count], first[count:], strict=True)
        inputs = [_convolve_depthwise(x, w, b, 1) for w, b in pairs] * (n // count)
        every = zip(inputs, rest[:n], rest[n : 2 * n], dilations, strict=True)
        branches = torch.cat([_convolve_depthwise(*branch) for branch in every], 1)
        mix_w, mix_b, *residual = rest[2 * n :]
        y = x * F.conv2d(branches, mix_w[..., None, None], mix_b)
        return y + residual[0] if residual else y

    return run_gated


def _build_deform(spec: ArgSpec, flat: list[Any]) -> Callable[..., Tensor]:
    def deform(x: Tensor, offset: Tensor, mask: Tensor, w: Tensor, *b: Tensor) -> Tensor:
        y = deform_conv2d(x.to(w.dtype), offset, mask, w)
        return (y + b[0][:, None, None] if b else y).to(x.dtype)

    return deform


def _sample(x: Tensor, y: Tensor, across: Tensor, boundary: str) -> Tensor:
    """Sample x at (N, Ho, Wo) coordinates in pixels."""
    (n, c, h, w), groups = x.shape, count_channel_groups(x)
    grid = torch.stack(((2 * across + 1) / w - 1, (2 * y + 1) / h - 1), -1)
    places = grid[:, None].expand(n, groups, -1, -1, -1).flatten(0, 1)
    maps = x.to(grid.dtype).reshape(n * groups, c // groups, h, w)
    padding = "zeros" if boundary == "zeros" else "border"
    moved = F.grid_sample(maps, places, "bilinear", padding, align_corners=False)
    return moved.reshape(n, c, *grid.shape[1:3]).to(x.dtype)


def _build_sample(spec: ArgSpec, flat: list[Any]) -> Callable[..., Tensor]:
    boundary = spec.options["boundary"]
    return lambda x, coords: _sample(x, coords[..., 0], coords[..., 1], boundary)


def _build_warp(spec: ArgSpec, flat: list[Any]) -> Callable[..., Tensor]:
    def warp(x: Tensor, matrix: Tensor) -> Tensor:
        h, w = x.shape[2:]
        cy, cx = (h - 1) / 2, (w - 1) / 2
        y = (torch.arange(h, dtype=matrix.dtype, device=x.device) - cy)[:, None]
        across = torch.arange(w, dtype=matrix.dtype, device=x.device) - cx
        m = matrix.expand(x.shape[0], 2, 3)[..., None, None]
        places = [m[:, a, 0] * y + m[:, a, 1] * across + m[:, a, 2] + (cy, cx)[a] for a in (0, 1)]
        return _sample(x, places[0], places[1], spec.options["boundary"])

    return warp


def _build_linear(spec: ArgSpec, flat: list[Any]) -> Callable[..., Tensor]:
    bias, residual = spec.args[2] is not None, spec.args[3] is not None
    gelu = spec.options["activation"] == "gelu"

    def linear(x: Tensor, w: Tensor, *rest: Tensor) -> Tensor:
        y = F.linear(x, w, rest[0] if bias else None)
        y = F.gelu(y) if gelu else y
        return y + rest[-1] if residual else y

    return linear


def _build_batch_norm(spec: ArgSpec, flat: list[Any]) -> Callable[..., Tensor]:
    channels, epsilon = flat[0].shape[-1], spec.options["epsilon"]

    def norm(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        if x.ndim == 4:
            # PyTorch has a fast kernel for channels-last images.
            y = F.batch_norm(x.permute(0, 3, 1, 2), None, None, scale, bias, True, 0, epsilon)
            return y.permute(0, 2, 3, 1)
        y = F.batch_norm(x.reshape(-1, channels), None, None, scale, bias, True, 0, epsilon)
        return y.view_as(x)

    return norm


def _build_linear_norm(spec: ArgSpec, flat: list[Any]) -> Callable[..., Tensor]:
    normalise = _build_batch_norm(spec, [np.empty((1, flat[1].shape[1]))])

    def linear_norm(x: Tensor, w: Tensor, *rest: Tensor) -> Tensor:
        z = F.linear(x, w)
        return normalise(z + rest[0] if len(rest) == 3 else z, *rest[-2:])

    return linear_norm


def _build_conv(spec: ArgSpec, flat: list[Any]) -> Callable[..., Tensor]:
    padding = (spec.args[1].shape[0] // 2, spec.args[1].shape[1] // 2)
    return lambda x, w, b=None: F.conv2d(x, w, b, padding=padding)


def _build_losses(spec: ArgSpec, flat: list[Any]) -> Callable[..., Tensor]:
    def losses(logits: Tensor) -> Tensor:
        wide = logits.float() if logits.dtype == torch.bfloat16 else logits
        log_probability = F.log_softmax(wide, -1).flatten(0, 2)
        labels = wide.detach().argmax(-1).flatten()
        entropy = F.nll_loss(log_probability, labels, reduction="sum")
        if not spec.options["spatial"]:
            return torch.stack((entropy, torch.zeros_like(entropy)))
        probability = log_probability.exp().view_as(wide)
        return torch.stack((entropy, spatial_loss(probability) * labels.numel()))

    return losses


_FUNCTIONS: dict[str, Callable[[ArgSpec, list[Any]], Callable[..., Tensor]]] = {
    "depthwise_conv2d": _build_depthwise,
    "inception_depthwise": _build_inception,
    "gated_inception": _build_gated,
    "deform_conv2d": _build_deform,
    "bilinear_sample": _build_sample,
    "affine_warp": _build_warp,
    "linear": _build_linear,
    "batch_norm": _build_batch_norm,
    "linear_norm": _build_linear_norm,
    "conv2d": _build_conv,
    "softmax_losses": _build_losses,
}
