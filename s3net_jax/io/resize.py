"""Cubic resampling: with anti-aliasing as in Pillow, or with OpenCV's 4×4 kernel."""

from __future__ import annotations

import numpy as np
from PIL import Image as PilImage

__all__ = ["resize_antialias", "resize_opencv"]

_A = -0.75  # parameter of OpenCV's cubic kernel


def resize_antialias(
    image: np.ndarray,
    shape: tuple[int, int],
    method: PilImage.Resampling = PilImage.Resampling.BICUBIC,
) -> np.ndarray:
    """Resample with a kernel that widens when shrinking, which prevents aliasing.

    Args:
      image: image, (H, W) float32, any range.
      shape: output shape (h, w).
      method: kernel; cubic (a = −0.5) overshoots the range by up to one eighth at edges.

    Returns:
      (h, w) float32.
    """
    picture = PilImage.fromarray(np.ascontiguousarray(image, np.float32))
    return np.asarray(picture.resize((shape[1], shape[0]), method))


def resize_opencv(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resample like ``cv2.resize(..., interpolation=cv2.INTER_CUBIC)``.

    Half-pixel centres; 4 taps per axis with w(t) = ((a+2)t − (a+3))t² + 1 for t ≤ 1 and
    ((t − 5)t + 8)at − 4a for 1 < t < 2, a = −0.75; replicated edges; no anti-aliasing. 8-bit
    results are rounded and saturated, which matches OpenCV's x86 builds; OpenCV's portable
    fixed-point path differs by one grey level in a few pixels.

    Args:
      image: image, (H, W) or (H, W, C), uint8 or floating point.
      shape: output shape (h, w).

    Returns:
      (h, w) or (h, w, C), dtype of ``image``.
    """
    if image.shape[:2] == tuple(shape):
        return image.copy()
    rows, row_weights = _compute_taps(image.shape[0], shape[0])
    columns, column_weights = _compute_taps(image.shape[1], shape[1])
    work_type = np.float64 if image.dtype == np.uint8 else image.dtype
    extra = (1,) * (image.ndim - 2)
    row_weights = row_weights.reshape(4, -1, 1, *extra).astype(work_type)
    column_weights = column_weights.reshape(4, 1, -1, *extra).astype(work_type)

    # Resample along y first: each output row needs only four input rows, so a large image is
    # never copied as a whole in the wider work type.
    narrow = np.zeros((shape[0], *image.shape[1:]), work_type)
    for weight, index in zip(row_weights, rows, strict=True):
        narrow += weight * image[index]
    result = np.zeros((*shape, *image.shape[2:]), work_type)
    for weight, index in zip(column_weights, columns, strict=True):
        result += weight * narrow[:, index]
    if image.dtype == np.uint8:
        return np.clip(np.round(result), 0, 255).astype(np.uint8)
    return result


def _compute_taps(old: int, new: int) -> tuple[np.ndarray, np.ndarray]:
    """Return source indices and weights of the 4 taps of each output sample, both (4, new)."""
    centre = (np.arange(new) + 0.5) * (old / new) - 0.5
    floor = np.floor(centre)
    t, a = centre - floor, _A
    outer = [((u - 5) * u + 8) * a * u - 4 * a for u in (t + 1, 2 - t)]
    inner = [((a + 2) * u - (a + 3)) * u * u + 1 for u in (t, 1 - t)]
    weights = np.stack([outer[0], inner[0], inner[1], outer[1]])
    indices = floor.astype(np.int64) + np.arange(-1, 3)[:, None]
    return np.clip(indices, 0, old - 1), weights
