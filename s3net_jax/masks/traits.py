"""Measure what distinguishes a target from other parts of an image: the traits of a mask."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from s3net_jax.io import LUMA
from s3net_jax.masks.background import Background

__all__ = ["TRAITS", "measure_traits"]

TRAITS = (
    "size",
    "contrast",
    "darkness",
    "edge",
    "border",
    "compactness",
    "depth",
    "remainder",
    "agreement",
    "distance",
)
"""Names of the traits, in the order of the columns of :func:`measure_traits`."""

# Chosen once, by what they mean; not tuned.
_RING = 0.2  # width of the ring around a mask, as a fraction of the square root of its area
_THINNEST, _WIDEST = 2, 12  # limits of that width in pixels, for images of 128 pixels
_BLUR = 0.7  # standard deviation in pixels of the blur of the colours
_RIM = 2  # width in pixels of the border of the field of view
_SCALE = 4.0  # robust standard deviations of the background at which depth saturates
_NOISE = 1e-4  # variance of rounding to 8 bits and more; avoids 0 / 0 in even images


def measure_traits(
    image: np.ndarray,
    used: np.ndarray,
    masks: np.ndarray,
    support: np.ndarray,
    background: Background,
) -> np.ndarray:
    """Measure the ten traits of each candidate.

    With a mask m in the field of view F, its ring R (the pixels of F within 0.2 √|m| of m), the
    residual r of the background and its spread s:

    - ``size``: ln(\\|m\\| / \\|F\\|).
    - ``contrast``: Δ² / (Δ² + 2 (σ²ₘ + σ²ᵣ)), Δ the difference of the mean colours of m and R, σ²
      their variances, all summed over the colours.
    - ``darkness``: ``contrast`` with the sign of the luminance of R minus that of m.
    - ``edge``: ln(1 + g(∂m) / g(F)), g the mean length of the gradient, ∂m the edge pixels of m.
    - ``border``: share of the border of F, two pixels wide, that is in m.
    - ``compactness``: 4π \\|m\\| / \\|∂m\\|², at most 1.
    - ``depth``: tanh of the mean of r in m, divided by 4s: how much darker than the background.
    - ``remainder``: tanh of the mean of \\|r\\| in F without m, divided by 4s.
    - ``agreement``: mean DSC with all candidates, weighted by their support.
    - ``distance``: distance between the centres of m and of the image, in half sides.

    Args:
      image: (h, w, 3) uint8 image.
      used: (h, w) bool, the field of view F.
      masks: (N, h, w) bool candidates, none of them empty; pixels outside F do not count.
      support: (N,) floating-point weights, at least 0, at least one of them above 0.
      background: smooth background of the image.

    Returns:
      (N, 10) float64 traits, in the order of :data:`TRAITS`.
    """
    height, width = used.shape
    count = len(masks)
    inside = masks & used
    rings = _find_rings(inside) & used
    core = np.asarray(ndimage.minimum_filter(inside, (1, 3, 3), mode="nearest"), bool)
    edges = inside & ~core
    colors = ndimage.gaussian_filter(image / 255.0, (_BLUR, _BLUR, 0)).reshape(-1, 3)
    residual = background.residual.mean(-1).ravel()
    y = (np.arange(height) - (height - 1) / 2) / (height / 2)
    x = (np.arange(width) - (width - 1) / 2) / (width / 2)
    ones = np.ones(used.size)
    planes = np.stack(
        [
            *(ones, *colors.T, *(colors**2).T, residual, np.abs(residual)),
            *(np.repeat(y, width), np.tile(x, height)),
        ]
    )
    total = planes @ used.ravel().astype(np.float64)
    sums = _sum_over(inside, planes)
    ring = _sum_over(rings, planes[:7])
    area, around = np.maximum(sums[:, 0], 1), np.maximum(ring[:, 0], 1)
    mean, near = sums[:, 1:4] / area[:, None], ring[:, 1:4] / around[:, None]
    variance = (sums[:, 4:7] / area[:, None] - mean**2).sum(1)
    variance += (ring[:, 4:7] / around[:, None] - near**2).sum(1)
    apart = near - mean
    squared = (apart**2).sum(1)
    contrast = squared / (squared + 2 * variance + _NOISE)
    slope = _compute_slope(image)
    length = np.maximum(edges.sum((1, 2)), 1)
    steep = _sum_over(edges, slope.reshape(1, -1))[:, 0] / length
    frame = _find_frame(used)
    left = np.maximum(total[0] - sums[:, 0], 1)
    scale = _SCALE * background.spread
    return np.stack(
        [
            np.log(area / total[0]),
            contrast,
            contrast * np.sign(apart @ LUMA),
            np.log1p(steep / (slope[used].mean() + 2e-3)),
            (inside & frame).sum((1, 2)) / max(1, np.count_nonzero(frame)),
            np.minimum(1, 4 * np.pi * area / length**2),
            np.tanh(sums[:, 7] / area / scale),
            np.tanh((total[8] - sums[:, 8]) / left / scale),
            _compute_agreement(inside.reshape(count, -1), support),
            np.hypot(sums[:, 9], sums[:, 10]) / area,
        ],
        1,
    )


def _sum_over(masks: np.ndarray, planes: np.ndarray) -> np.ndarray:
    """Sum each of K planes (K, P) over each of N masks (N, h, w): (N, K)."""
    # reduceat over the pixels of the masks, because most masks are small: five times as fast as a
    # product with all pixels.
    numbers, pixels = np.nonzero(masks.reshape(len(masks), -1))
    counts = np.bincount(numbers, minlength=len(masks))
    result = np.zeros((len(masks), len(planes)))
    filled = counts > 0
    if filled.any():
        starts = (np.cumsum(counts) - counts)[filled]
        for column, plane in enumerate(planes):
            result[filled, column] = np.add.reduceat(plane[pixels], starts)
    return result


def _find_rings(masks: np.ndarray) -> np.ndarray:
    """Return the pixels around each mask: within a square of a fifth of the root of its area."""
    roots = np.sqrt(masks.sum((1, 2)))
    widths = np.clip(np.rint(_RING * roots), _THINNEST, _WIDEST).astype(int)
    grown = np.empty_like(masks)
    for width in np.unique(widths):
        chosen = widths == width
        size = (1, 2 * width + 1, 2 * width + 1)
        grown[chosen] = ndimage.maximum_filter(masks[chosen], size, mode="nearest")
    return grown & ~masks


def _compute_slope(image: np.ndarray) -> np.ndarray:
    """Return the length of the gradient, summed over the colours in [0, 1]: (h, w)."""
    planes = np.moveaxis(image / 255.0, -1, 0)
    return np.sum([ndimage.gaussian_gradient_magnitude(plane, 1.0) for plane in planes], 0)


def _find_frame(used: np.ndarray) -> np.ndarray:
    """Return the border of the field of view, two pixels wide: (h, w) bool."""
    frame = np.zeros_like(used)
    frame[:_RIM] = frame[-_RIM:] = True
    frame[:, :_RIM] = frame[:, -_RIM:] = True
    return (frame | ndimage.binary_dilation(~used, iterations=_RIM)) & used


def _compute_agreement(masks: np.ndarray, support: np.ndarray) -> np.ndarray:
    """Return the mean DSC of each of (N, P) masks with all, weighted by ``support``: (N,)."""
    bits = np.packbits(masks, 1)
    areas = np.bitwise_count(bits).sum(1, dtype=np.int64)
    weights = support / support.sum()
    result = np.zeros(len(bits))
    for number, row in enumerate(bits):
        shared = np.bitwise_count(bits & row).sum(1, dtype=np.int64)
        result[number] = weights @ (2 * shared / np.maximum(areas + areas[number], 1))
    return result
