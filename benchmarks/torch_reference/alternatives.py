"""Slower formulations of the deformable convolution that were tried; see README.md.

All have the signature of :func:`benchmarks.torch_reference.deform.deform_conv2d` without
``method``, and use autograd for gradients.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.torch_reference.deform import build_sampling_grid

__all__ = [
    "embedding_bag",
    "index_select",
    "multiply_first",
    "sample_one_image",
    "sample_taps_as_batch",
]


def sample_one_image(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """Sample the whole image in one ``grid_sample``, which runs on one thread."""
    n, c, h, w = x.shape
    taps = mask.shape[1]
    grid = build_sampling_grid(offset, weight.shape[-1]).view(n, taps * h, w, 2)
    columns = F.grid_sample(x, grid, align_corners=False).view(n, c, taps, h, w)
    columns = (columns * mask[:, None]).view(n, c * taps, h, w)
    return F.conv2d(columns, weight.reshape(-1, c * taps, 1, 1))


def sample_taps_as_batch(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """Sample one image in one ``grid_sample``, with the taps as the batch."""
    _, c, h, w = x.shape
    taps = mask.shape[1]
    grid = build_sampling_grid(offset, weight.shape[-1])[0]
    columns = F.grid_sample(x.expand(taps, -1, -1, -1), grid, align_corners=False)
    columns = (columns * mask[0, :, None]).view(1, taps * c, h, w)
    kernel = weight.permute(0, 2, 3, 1).reshape(-1, taps * c, 1, 1)
    return F.conv2d(columns, kernel)


def multiply_first(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """Apply the matrix product before sampling, which is linear; for one image."""
    _, c, h, w = x.shape
    taps = mask.shape[1]
    kernel = weight.permute(2, 3, 0, 1).reshape(-1, c, 1, 1)
    products = F.conv2d(x, kernel).view(taps, -1, h, w)
    grid = build_sampling_grid(offset, weight.shape[-1])[0]
    samples = F.grid_sample(products, grid, align_corners=False)
    return (samples * mask[0, :, None]).sum(0, keepdim=True)


def index_select(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """Gather rows of channels at the four corners of every sample; for one image."""
    _, c, h, w = x.shape
    rows = x[0].permute(1, 2, 0).reshape(h * w, c)
    index, share = _find_corners(offset, mask, weight.shape[-1])
    columns = sum(
        rows.index_select(0, index[..., k].flatten()) * share[..., k].reshape(-1, 1)
        for k in range(4)
    )
    assert isinstance(columns, Tensor)
    return _multiply(columns, weight, h, w)


def embedding_bag(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """Treat each sample as a weighted bag of four rows of channels; for one image."""
    _, c, h, w = x.shape
    rows = x[0].permute(1, 2, 0).reshape(h * w, c)
    index, share = _find_corners(offset, mask, weight.shape[-1])
    columns = F.embedding_bag(
        index.reshape(-1, 4), rows, mode="sum", per_sample_weights=share.reshape(-1, 4)
    )
    return _multiply(columns, weight, h, w)


def _multiply(columns: Tensor, weight: Tensor, h: int, w: int) -> Tensor:
    """Multiply (H·W·taps, C) columns by the kernel: (1, O, H, W)."""
    kernel = weight.permute(2, 3, 1, 0).reshape(-1, weight.shape[0])
    return (columns.view(h * w, -1) @ kernel).view(1, h, w, -1).permute(0, 3, 1, 2)


def _find_corners(offset: Tensor, mask: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return flat indices of the corners, and their weights times the mask: (H, W, taps, 4)."""
    h, w = offset.shape[-2:]
    grid = build_sampling_grid(offset, size)[0].permute(1, 2, 0, 3)
    x, y = ((grid + 1) * grid.new_tensor([w, h]) - 1).div(2).unbind(-1)
    left, top = x.floor(), y.floor()
    indices, shares = [], []
    for row, row_share in ((top, 1 - (y - top)), (top + 1, y - top)):
        for column, column_share in ((left, 1 - (x - left)), (left + 1, x - left)):
            inside = (row >= 0) & (row < h) & (column >= 0) & (column < w)
            flat = row.clamp(0, h - 1) * w + column.clamp(0, w - 1)
            indices.append(flat.long())
            shares.append(row_share * column_share * inside * mask[0].permute(1, 2, 0))
    return torch.stack(indices, -1), torch.stack(shares, -1)
