"""Depthwise convolutions with "same" padding, and a faster method for large kernels on the CPU.

oneDNN's depthwise kernels for the CPU are fast for forward passes without dilation. They are slow
for a 7×7 kernel with dilation 3, and for weight gradients of more than 3×3 taps: one image takes
more than twice as long as the same pixels in a batch of smaller images.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["DepthwiseConv2d", "convolve_depthwise"]

_STRIPS = 8  # maximum number of strips into which one image is cut


class DepthwiseConv2d(nn.Conv2d):
    """Depthwise k×k convolution with dilation and bias, (N, C, H, W) to the same shape.

    Args:
      channels: number of channels C.
      size: kernel size k, odd.
      dilation: distance between taps in pixels.
      method: implementation; see :attr:`Options.depthwise`.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        dilation: int = 1,
        method: Literal["auto", "native", "batched"] = "auto",
    ):
        padding = dilation * (size // 2)
        super().__init__(
            channels, channels, size, padding=padding, dilation=dilation, groups=channels
        )
        self.method = method

    def forward(self, input: Tensor) -> Tensor:
        method = self.method
        if method == "auto":
            method = "batched" if input.device.type == "cpu" else "native"
        if method == "native" or self.kernel_size[0] <= 3:
            return super().forward(input)
        assert self.bias is not None
        return convolve_depthwise(input, self.weight, self.bias, self.dilation[0])


def convolve_depthwise(x: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
    """Apply a depthwise convolution, cutting one image into a batch where that is faster.

    With dilation d, the d² phases of the image (every d-th pixel) are convolved without dilation.
    Without dilation, the weight gradient is computed from strips of the image.

    Args:
      x: (N, C, H, W) features.
      weight: (C, 1, k, k) kernel, k odd.
      bias: (C,) bias.
      dilation: distance between taps, d.
    """
    if torch.is_autocast_enabled(x.device.type):
        kind = torch.get_autocast_dtype(x.device.type)
        x, weight, bias = x.to(kind), weight.to(kind), bias.to(kind)
    return _Batched.apply(x, weight, bias, dilation)


class _Batched(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
        phases = _split(x, dilation)
        ctx.save_for_backward(phases, weight)
        ctx.dilation = dilation
        y = F.conv2d(phases, weight, bias, padding=weight.shape[-1] // 2, groups=x.shape[1])
        return _join(y, dilation, x.shape[2], x.shape[3])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        phases, weight = ctx.saved_tensors
        half = weight.shape[-1] // 2
        # With stride 1 and "same" padding, the input gradient is a convolution with the mirrored
        # kernel. The library's forward kernel computes it faster than its backward kernel, and a
        # sum is faster than the bias gradient of the latter.
        dy = _split(grad, ctx.dilation)
        dx = F.conv2d(dy, weight.flip(2, 3), None, padding=half, groups=weight.shape[0])
        dx = _join(dx, ctx.dilation, grad.shape[2], grad.shape[3])
        return dx, _compute_weight_gradient(phases, dy, weight), grad.sum((0, 2, 3)), None


def _compute_weight_gradient(x: Tensor, dy: Tensor, weight: Tensor) -> Tensor:
    """Compute the weight gradient of a convolution without dilation: (C, 1, k, k)."""
    n, c, h, w = x.shape
    half = weight.shape[-1] // 2
    padding = [half, half]
    strips = max(s for s in range(1, _STRIPS + 1) if h % s == 0) if n == 1 else 1
    if strips > 1:
        rows = h // strips
        wide = F.pad(x[0].permute(1, 2, 0), (0, 0, half, half, half, half))
        x = torch.stack([wide[i : i + rows + 2 * half] for i in range(0, h, rows)])
        x = x.permute(0, 3, 1, 2)
        dy = dy.permute(0, 2, 3, 1).reshape(strips, rows, w, c).permute(0, 3, 1, 2)
        padding = [0, 0]
    return torch.ops.aten.convolution_backward(
        dy, x, weight, None, [1, 1], padding, [1, 1], False, [0, 0], c, [False, True, False]
    )[1]


def _split(x: Tensor, d: int) -> Tensor:
    """Split (N, C, H, W) into phases (d·d·N, C, ⌈H/d⌉, ⌈W/d⌉), zero-padded, channels last."""
    if d == 1:
        return x.contiguous(memory_format=torch.channels_last)
    n, c, h, w = x.shape
    rows, columns = -(-h // d), -(-w // d)
    x = F.pad(x.permute(0, 2, 3, 1), (0, 0, 0, columns * d - w, 0, rows * d - h))
    x = x.reshape(n, rows, d, columns, d, c).permute(2, 4, 0, 1, 3, 5)
    return x.reshape(d * d * n, rows, columns, c).permute(0, 3, 1, 2)


def _join(x: Tensor, d: int, h: int, w: int) -> Tensor:
    """Invert :func:`_split`: (N, C, H, W), channels last."""
    if d == 1:
        return x
    n, c, rows, columns = x.shape
    n //= d * d
    x = x.permute(0, 2, 3, 1).reshape(d, d, n, rows, columns, c).permute(2, 3, 0, 4, 1, 5)
    x = x.reshape(n, rows * d, columns * d, c)[:, :h, :w]
    return x.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
