"""The dark surroundings of a picture that are no part of what it shows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image as PilImage
from scipy import ndimage

from s3net_jax.io import LUMA
from s3net_jax.masks.cleanup import find_touching, label_regions
from s3net_jax.masks.shapes import grow

__all__ = ["find_vignette", "resize_vignette"]

_SIDE = 256  # pixels of the long side that the two widths below are given for
_SMOOTH, _GROWN = 1.0, 6
_DARK, _BLACK = 0.4, 0.1  # of the luminance that a fifth of the pixels exceed

_WIDEST = 0.03
_PIXELS = 8
"""Widest frame line: as a share of the short side, and in pixels where that share is less. A
broader even border is a background."""

_EVEN, _SPREAD = 0.95, 0.15
"""A row is even if this share of its pixels is within this share of the bright luminance around its
median: JPEG's ringing at quality 75 stays within 30 of 200 levels, and lines that cross the row at
its ends have less than 1 - _EVEN of its pixels."""

_LIGHT, _STEP = 0.2, 2
"""A line has at least this share of the bright luminance, and is at least so many times as bright
as what it hides. Darker lines are black themselves, and shadows that deepen inwards from the edge
of a picture, as from 92 to 78 in ph2's IMD061, are no frames."""

_FRAMED = 3
"""Sides with a line that make a frame. Single light rows at one side are faults of scanning (ph2's
IMD061 has one), and what is behind them is the picture."""

_MARGIN = 0.01
"""Share of the long side within which corners and borders are judged behind a frame line, beside
one pixel: resampling and JPEG mix the line with what it surrounds."""


class _Lines(NamedTuple):
    """How many rows and columns at each side are a frame line."""

    top: int
    bottom: int
    left: int
    right: int


def find_vignette(image: np.ndarray) -> np.ndarray:
    """Dark regions that hold a corner, and black ones that touch the border of the image, grown by
    a fortieth of its side.

    A dermoscope's black frame, or the air around a body in a CT slice. A line along the
    border that is brighter than the dark corners behind it counts as part of what it surrounds.

    Args:
      image: (H, W, 3) uint8.

    Returns:
      (H, W) bool; all false if every pixel would be dark.
    """
    luminance = image @ LUMA
    lines = _find_frame_lines(luminance)
    if not any(lines):
        return _find_surroundings(luminance, 1)
    height, width = luminance.shape
    inner = luminance[lines.top : height - lines.bottom, lines.left : width - lines.right]
    found = _find_surroundings(inner, 1 + round(_MARGIN * max(height, width)))
    return np.pad(found, ((lines.top, lines.bottom), (lines.left, lines.right)), "edge")


def resize_vignette(image: np.ndarray, small: np.ndarray) -> np.ndarray:
    """The vignette of ``small``, which is ``image`` at another size. Where ``image`` has frame
    lines, its own vignette at that size: in ``small`` they are mixed with what they surround."""
    if not any(_find_frame_lines(image @ LUMA)):
        return find_vignette(small)
    picture = PilImage.fromarray(find_vignette(image).astype(np.uint8) * np.uint8(255))
    size = small.shape[1], small.shape[0]
    return np.asarray(picture.resize(size, PilImage.Resampling.BOX)) > 127


def _find_surroundings(luminance: np.ndarray, margin: int) -> np.ndarray:
    """The vignette of a picture without frame lines.

    Args:
      luminance: (H, W).
      margin: pixels from the border within which a region holds a corner or touches the border.
    """
    scale = max(luminance.shape) / _SIDE
    luminance = ndimage.gaussian_filter(luminance, _SMOOTH * scale)
    bright = np.percentile(luminance, 80)
    regions = label_regions(luminance < _DARK * bright)
    ends = slice(None, margin), slice(-margin, None)
    corners = {int(n) for y in ends for x in ends for n in np.unique(regions[y, x])} - {0}
    found = np.isin(regions, list(corners)) | find_touching(
        label_regions(luminance < _BLACK * bright), margin, margin
    )
    outside = grow(found, round(_GROWN * scale))
    return np.zeros_like(outside) if outside.all() else outside


def _find_frame_lines(luminance: np.ndarray) -> _Lines:
    """Even, light lines along the border that hide a dark corner; all 0 without a frame."""
    short = min(luminance.shape)
    widest = min(max(_PIXELS, round(_WIDEST * short)), short // 8)
    bright = float(np.percentile(luminance, 80))
    sides = (luminance, luminance[::-1], luminance.T, luminance.T[::-1])
    widths = [_measure_line_width(side[: widest + 1], bright) for side in sides]
    if sum(width > 0 for width in widths) < _FRAMED:
        return _Lines(0, 0, 0, 0)
    hidden = [
        _is_hidden(luminance[::down, ::across], rows, columns, bright)
        for down, rows in ((1, widths[0]), (-1, widths[1]))
        for across, columns in ((1, widths[2]), (-1, widths[3]))
    ]
    return _Lines(*widths) if any(hidden) else _Lines(0, 0, 0, 0)


def _measure_line_width(rows: np.ndarray, bright: float) -> int:
    """How many of the outermost rows are lines, up to the innermost light one; 0 if all are even:
    that is a background."""
    middle = np.median(rows, 1)
    even = (np.abs(rows - middle[:, None]) <= _SPREAD * bright).mean(1) >= _EVEN
    lines = int(even.argmin()) if not even.all() else len(even)
    light = np.flatnonzero(middle[:lines] >= _LIGHT * bright)
    width = int(light[-1]) + 1 if light.size else 0
    return 0 if width == len(rows) else width


def _is_hidden(corner: np.ndarray, rows: int, columns: int, bright: float) -> bool:
    """Whether lines of ``rows`` and ``columns`` pixels hide a dark corner, which is at [0, 0]."""
    size = max(2, round(_MARGIN * max(corner.shape)))
    # One pixel further in than the line: it may be mixed with the line.
    row, column = rows + (rows > 0), columns + (columns > 0)
    behind = float(np.median(corner[row : row + size, column : column + size]))
    if rows:
        shine = np.median(corner[:rows, : column + size], 1).max()
    else:
        shine = np.median(corner[:size, :columns], 0).max()
    return bool(behind < _DARK * bright and shine >= max(_LIGHT * bright, _STEP * behind))
