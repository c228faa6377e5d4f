"""Affine transforms of feature maps and label maps.

A (2, 3) matrix maps an output pixel (y, x, 1) to the input pixel that it takes its value from, in
pixels from the image centre ((H − 1)/2, (W − 1)/2).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.torch_reference.deform import count_channel_groups
from benchmarks.torch_reference.layout import to_format
from s3net_jax.config import AffineConfig

__all__ = ["affine_matrix", "draw_affine", "find_quarter_turns", "warp", "warp_labels"]

_INSIDE = 1e-3  # tolerance in pixels for rounding errors at the image border


def affine_matrix(
    rotation: float, translation: tuple[float, float], scale: float, shear: float
) -> Tensor:
    """Compute the inverse of translate ∘ rotate ∘ shear ∘ scale, (2, 3) float64 on (y, x, 1).

    Args:
      rotation: angle in degrees, counter-clockwise as displayed.
      translation: shift (y, x) of the content in pixels.
      scale: zoom factor, positive.
      shear: angle in degrees; x grows by tan(shear)·y.
    """
    c, s = math.cos(math.radians(rotation)), math.sin(math.radians(rotation))
    turn = torch.tensor([[c, -s], [s, c]], dtype=torch.float64)
    lean = torch.tensor([[1, 0], [math.tan(math.radians(shear)), 1]], dtype=torch.float64)
    inverse = torch.linalg.inv(turn @ lean * scale)
    move = torch.tensor(translation, dtype=torch.float64)
    return torch.cat([inverse, -(inverse @ move)[:, None]], 1)


def draw_affine(generator: torch.Generator, config: AffineConfig, shape: tuple[int, int]) -> Tensor:
    """Draw a float64 matrix with every parameter uniform in its configured range."""

    def uniform(limits: tuple[float, float]) -> float:
        u = torch.rand((), generator=generator, dtype=torch.float64).item()
        return limits[0] + (limits[1] - limits[0]) * u

    return affine_matrix(
        uniform(config.rotation),
        (uniform(config.translation) * shape[0], uniform(config.translation) * shape[1]),
        uniform(config.scale),
        uniform(config.shear),
    )


def find_quarter_turns(config: AffineConfig, shape: tuple[int, int]) -> int | None:
    """Count counter-clockwise quarter turns, if every transform is the same turn of a square."""
    turns = config.rotation[0] / 90
    fixed = config.rotation[0] == config.rotation[1] and turns == round(turns)
    plain = config.translation == (0, 0) and config.scale == (1, 1) and config.shear == (0, 0)
    return round(turns) if fixed and plain and shape[0] == shape[1] else None


def warp(image: Tensor, matrix: Tensor) -> Tensor:
    """Transform an (N, C, H, W) image bilinearly; coordinates are clamped to the edge."""
    n, c, h, w = image.shape
    y, x = _compute_source(matrix, h, w)
    grid = torch.stack((x * (2 / max(w - 1, 1)) - 1, y * (2 / max(h - 1, 1)) - 1), -1)
    groups = count_channel_groups(image)
    places = grid.to(image.dtype).expand(n * groups, -1, -1, -1)
    maps = to_format(image, torch.contiguous_format).view(n * groups, c // groups, h, w)
    moved = F.grid_sample(maps, places, "bilinear", "border", align_corners=True)
    return moved.view(n, c, h, w)


def warp_labels(labels: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Transform (N, H, W) labels by nearest neighbour (half to even), clamped to the edge.

    Returns:
      The labels, and (H, W) bool: whether the source of a pixel is inside the image, to within a
      thousandth of a pixel.
    """
    h, w = labels.shape[-2:]
    y, x = _compute_source(matrix, h, w)
    inside_y = (y >= -_INSIDE) & (y <= h - 1 + _INSIDE)
    inside_x = (x >= -_INSIDE) & (x <= w - 1 + _INSIDE)
    moved = labels[:, y.round().long().clamp(0, h - 1), x.round().long().clamp(0, w - 1)]
    return moved, inside_y & inside_x


def _compute_source(matrix: Tensor, h: int, w: int) -> tuple[Tensor, Tensor]:
    """Compute (H, W) source coordinates y and x, from the first pixel of the image."""
    cy, cx = (h - 1) / 2, (w - 1) / 2
    y = (torch.arange(h, dtype=matrix.dtype, device=matrix.device) - cy)[:, None]
    x = torch.arange(w, dtype=matrix.dtype, device=matrix.device) - cx
    m = matrix
    return m[0, 0] * y + m[0, 1] * x + m[0, 2] + cy, m[1, 0] * y + m[1, 1] * x + m[1, 2] + cx
