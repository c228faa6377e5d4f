"""Modulated deformable convolution (Zhu et al., Deformable ConvNets v2) in PyTorch."""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["DeformConv", "build_sampling_grid", "count_channel_groups", "deform_conv2d"]

Method = Literal["auto", "taps", "grid_sample", "torchvision"]
_SAMPLE: dict[str, Any] = {"mode": "bilinear", "padding_mode": "zeros", "align_corners": False}


class DeformConv(nn.Module):
    """k×k modulated deformable convolution without bias, zero outside the image.

    Args:
      channels: number of channels C; input and output are (N, C, H, W).
      size: kernel size k, odd.
      offsets: ``"predicted"``: a k×k convolution of the input, initialised to zero, predicts the
        offsets (2k² channels, (dy, dx) per tap, row-major) and the logits of the mask (k²
        channels); ``"free"``: offsets and mask are parameters of each pixel, drawn from U[0, 1).
      init: initialisation of the kernel; ``"default"`` is PyTorch's for convolutions,
        ``"uniform"`` is U[0, 1).
      shape: image size (H, W); required by ``"free"``.
      method: formulation; see :attr:`Options.deform`.
    """

    def __init__(
        self,
        channels: int,
        size: int = 3,
        *,
        offsets: Literal["predicted", "free"] = "predicted",
        init: Literal["default", "uniform"] = "default",
        shape: tuple[int, int] | None = None,
        method: Method = "auto",
    ):
        super().__init__()
        self.taps = size * size
        self.method: Method = method
        self.weight = nn.Parameter(torch.empty(channels, channels, size, size))
        if init == "uniform":
            nn.init.uniform_(self.weight)
        else:
            nn.init.kaiming_uniform_(self.weight, a=5**0.5)
        self.predict = None
        if offsets == "predicted":
            self.predict = nn.Conv2d(channels, 3 * self.taps, size, padding=size // 2)
            assert self.predict.bias is not None
            nn.init.zeros_(self.predict.weight)
            nn.init.zeros_(self.predict.bias)
        elif shape is None:
            raise ValueError("Free offsets are parameters of each pixel: pass shape=(H, W).")
        else:
            self.offset = nn.Parameter(torch.rand(1, 2 * self.taps, *shape))
            self.mask = nn.Parameter(torch.rand(1, self.taps, *shape))

    def forward(self, x: Tensor) -> Tensor:
        if self.predict is None:
            offset, mask = self.offset, self.mask
        else:
            # Coordinates need more precision than bfloat16 has.
            predicted = self.predict(x).to(self.weight.dtype).contiguous()
            offset, mask = predicted[:, : 2 * self.taps], predicted[:, 2 * self.taps :]
            mask = torch.sigmoid(mask)
        n = x.shape[0]
        offset, mask = offset.expand(n, -1, -1, -1), mask.expand(n, -1, -1, -1)
        with torch.autocast(x.device.type, enabled=False):
            return deform_conv2d(x.to(self.weight.dtype), offset, mask, self.weight, self.method)


def deform_conv2d(
    x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, method: Method = "auto"
) -> Tensor:
    """Apply a deformable convolution, as torchvision does with stride 1, "same" padding, no bias.

    Args:
      x: (N, C, H, W) features.
      offset: (N, 2·k·k, H, W) offsets in pixels, (dy, dx) per tap, row-major.
      mask: (N, k·k, H, W) modulation.
      weight: (O, C, k, k) kernel, k odd.
      method: formulation; see :attr:`Options.deform`.

    Returns:
      (N, O, H, W) features.
    """
    if method == "auto":
        # torch.compile does not support torchvision's operator.
        plain = torch.compiler.is_compiling() or not _has_torchvision()
        method = "taps" if x.device.type == "cpu" else "grid_sample" if plain else "torchvision"
    if method == "torchvision":
        from torchvision.ops import deform_conv2d as operator  # pyright: ignore

        return operator(
            x.contiguous(), offset.contiguous(), weight, padding=weight.shape[-1] // 2,
            mask=mask.contiguous(),
        )  # fmt: skip
    grid = build_sampling_grid(offset, weight.shape[-1])
    if method == "taps":
        return _Taps.apply(x, grid, mask, weight)
    return _sample_in_one_call(x, grid, mask, weight)


def build_sampling_grid(offset: Tensor, size: int) -> Tensor:
    """Compute sampling points for ``grid_sample``: (N, k·k, H, W, 2), (x, y) in [−1, 1].

    The convention of ``align_corners=False`` also works for images that are one pixel wide.
    """
    n, _, h, w = offset.shape
    taps = torch.arange(size * size, device=offset.device)
    offset = offset.reshape(n, size * size, 2, h, w)
    y, x = torch.arange(h, device=offset.device), torch.arange(w, device=offset.device)
    y = (taps // size - size // 2)[:, None, None] + y[:, None] + offset[:, :, 0]
    x = (taps % size - size // 2)[:, None, None] + x + offset[:, :, 1]
    return torch.stack(((2 * x + 1) / w - 1, (2 * y + 1) / h - 1), -1)


def count_channel_groups(x: Tensor) -> int:
    """Choose how many groups of channels to pass to ``grid_sample`` as separate images.

    On the CPU it is parallel only over the batch, so one image would use one thread.
    """
    n, c = x.shape[:2]
    wanted = 8 if x.device.type == "cpu" and n == 1 else 1
    return max(g for g in range(1, wanted + 1) if c % g == 0)


def _sample_in_one_call(x: Tensor, grid: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """Sample all taps in one ``grid_sample``, then apply one matrix product; uses autograd."""
    n, c, h, w = x.shape
    taps, groups = mask.shape[1], count_channel_groups(x)
    places = grid.view(n, 1, taps * h, w, 2).expand(-1, groups, -1, -1, -1).flatten(0, 1)
    columns = F.grid_sample(x.reshape(n * groups, c // groups, h, w), places, **_SAMPLE)
    columns = columns.view(n, c, taps, h, w) * mask[:, None]
    return F.conv2d(columns.view(n, c * taps, h, w), weight.reshape(-1, c * taps, 1, 1))


class _Taps(torch.autograd.Function):
    """Sample, modulate and accumulate the product one tap at a time.

    Temporaries the size of one feature map stay in the cache and in the allocator's free lists,
    while the columns of all taps at once need fresh pages every time.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, grid: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
        n, c, h, w = x.shape
        groups = count_channel_groups(x)
        maps = x.contiguous().view(n * groups, c // groups, h, w)
        kernels = weight.permute(2, 3, 1, 0).reshape(-1, c, weight.shape[0])
        y = x.new_zeros(n, h * w, weight.shape[0])
        samples = []
        for tap, kernel in enumerate(kernels):
            sample = F.grid_sample(maps, _select_places(grid, tap, groups), **_SAMPLE).view(
                n, c, h * w
            )
            scaled = sample * mask[:, tap].reshape(n, 1, -1)
            y.baddbmm_(scaled.transpose(1, 2), kernel.expand(n, -1, -1))
            samples.append(sample)
        ctx.channels_last = x.is_contiguous(memory_format=torch.channels_last)
        ctx.save_for_backward(maps, grid, mask, kernels, *samples)
        return y.view(n, h, w, -1).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        maps, grid, mask, kernels, *samples = ctx.saved_tensors
        n, taps, h, w = mask.shape
        c, outputs = kernels.shape[1:]
        groups = maps.shape[0] // n
        dy = grads[0].permute(0, 2, 3, 1).reshape(n, h * w, outputs)
        dx = torch.zeros_like(maps)
        dgrid, dmask, dkernels = (torch.empty_like(a) for a in (grid, mask, kernels))
        for tap, sample in enumerate(samples):
            factor = mask[:, tap].reshape(n, 1, -1)
            dkernels[tap] = torch.bmm(sample * factor, dy).sum(0)
            dsample = torch.bmm(kernels[tap].expand(n, -1, -1), dy.transpose(1, 2))
            dmask[:, tap] = (dsample * sample).sum(1).view(n, h, w)
            dsample *= factor
            part, places = torch.ops.aten.grid_sampler_2d_backward(
                dsample.view_as(maps),
                maps,
                _select_places(grid, tap, groups),
                0,
                0,
                False,
                [True, True],
            )
            dx += part
            dgrid[:, tap] = places.view(n, groups, h, w, 2).sum(1)
        size = round(taps**0.5)
        dweight = dkernels.view(size, size, c, outputs).permute(3, 2, 0, 1)
        dx = dx.view(n, c, h, w)
        if ctx.channels_last:
            dx = dx.contiguous(memory_format=torch.channels_last)
        return dx, dgrid, dmask, dweight


def _select_places(grid: Tensor, tap: int, groups: int) -> Tensor:
    """Select the grid of a tap, repeated for every group of channels: (N·groups, H, W, 2)."""
    return grid[:, tap, None].expand(-1, groups, -1, -1, -1).flatten(0, 1)


@cache
def _has_torchvision() -> bool:
    return importlib.util.find_spec("torchvision") is not None
