"""Find the dark surround of a picture: a dermoscope's frame or the air around a body."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image as PilImage
from scipy import ndimage

from s3net_jax.io import LUMA
from s3net_jax.masks.cleanup import find_touching, label_regions
from s3net_jax.masks.shapes import grow

__all__ = [
    "find_frame_lines",
    "find_outside",
    "find_vignette",
    "resize_outside",
    "resize_vignette",
]

# Losses on PH² at half and double: blur 0.3 and 0.2, dilation 0.2 and 0.3. The dark threshold loses
# 0.5 at 0.2 and 1.5 at 0.6. On lung CT, half the dilation gains one slice, and double loses 4.7
# (one slice entirely). The black threshold changes at most 0.01.
_SIDE = 256  # long side in pixels for which the next two lengths are given; they scale with it
_SMOOTH, _GROWN = 1.0, 6  # standard deviation of the blur, and radius of the final dilation
_DARK, _BLACK = 0.4, 0.1  # thresholds as fractions of the bright luminance, its 80th percentile

# Constants of frame lines. Half and double (of the fraction, the spread, the light and the margin)
# change nothing on the development images; tests/masks/test_vignette.py has drawn frames.
_WIDEST = 0.03
_PIXELS = 8
"""Maximum width of a frame line: a fraction of the short side, and at least this many pixels. A
wider uniform border is a background."""

_EVEN, _SPREAD = 0.95, 0.15
"""A row is uniform if at least this fraction of its pixels is within ``_SPREAD`` × bright luminance
of its median. JPEG ringing at quality 75 stays within 30 of 200 levels, and lines that cross the
row at its ends cover less than 1 - _EVEN of it."""

_LIGHT, _STEP = 0.2, 2
"""Minimum luminance of a line, as a fraction of the bright luminance, and its minimum ratio to what
it hides. Darker lines belong to the black surround, and shadows that deepen inwards from the edge
(from 92 to 78 in PH² image IMD061) are not frames."""

_FRAMED = 3
"""Minimum number of sides with a line. A light row at a single side is a scanning fault (PH² image
IMD061 has one) with the picture behind it."""

_MARGIN = 0.01
"""Depth of the corners and borders that are examined behind a frame line, as a fraction of the long
side, in addition to one pixel. Resampling and JPEG mix the line with its neighbours."""


Narrow = Callable[[np.ndarray, np.ndarray, int], np.ndarray]
"""Function that drops pixels of what was found; see :func:`find_outside`."""


class _Lines(NamedTuple):
    """Width in pixels of the frame line at each side; 0 if there is none."""

    top: int
    bottom: int
    left: int
    right: int


def find_vignette(image: np.ndarray) -> np.ndarray:
    """Find dark regions that contain a corner and black regions that touch the border.

    This is the black frame of a dermoscope, or the air around a body in a CT slice. The regions are
    dilated by about a fortieth of the long side. A line along the border that is brighter than the
    dark corners behind it is treated as part of the surround.

    Args:
      image: (H, W, 3) uint8 image.

    Returns:
      (H, W) bool; all False if the vignette would cover the whole image.
    """
    return find_outside(image)


def resize_vignette(image: np.ndarray, small: np.ndarray) -> np.ndarray:
    """Find the vignette of ``small``, a resized copy of ``image``; see :func:`resize_outside`."""
    return resize_outside(image, small, find_vignette)


def find_outside(image: np.ndarray, narrow: Narrow | None = None) -> np.ndarray:
    """Find dark and black regions at the border, as :func:`find_vignette`, frame lines included.

    Args:
      image: (H, W, 3) uint8 image.
      narrow: function ``(found, black, margin) -> found`` that may drop pixels of the regions
        before they are dilated. The masks are (h, w) bool, without frame lines; ``black`` are the
        black regions that touch the border, that is, reach within ``margin`` pixels of it.

    Returns:
      (H, W) bool; all False if the regions would cover the whole image.
    """
    luminance = image @ LUMA
    lines = find_frame_lines(luminance)
    if not any(lines):
        return _find_surroundings(luminance, 1, narrow)
    height, width = luminance.shape
    inner = luminance[lines.top : height - lines.bottom, lines.left : width - lines.right]
    found = _find_surroundings(inner, 1 + round(_MARGIN * max(height, width)), narrow)
    return np.pad(found, ((lines.top, lines.bottom), (lines.left, lines.right)), "edge")


def resize_outside(
    image: np.ndarray, small: np.ndarray, find: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Find what surrounds the field of view of ``small``, a resized copy of ``image``.

    If ``image`` has frame lines, ``find`` is applied at full size and the result is resized,
    because resizing the image mixes thin lines with their neighbours.
    """
    if not any(find_frame_lines(image @ LUMA)):
        return find(small)
    picture = PilImage.fromarray(find(image).astype(np.uint8) * np.uint8(255))
    size = small.shape[1], small.shape[0]
    return np.asarray(picture.resize(size, PilImage.Resampling.BOX)) > 127


def _find_surroundings(luminance: np.ndarray, margin: int, narrow: Narrow | None) -> np.ndarray:
    """Find the surroundings of a picture without frame lines.

    Args:
      luminance: (H, W) luminance.
      margin: distance from the border in pixels up to which a region counts as touching it.
      narrow: as for :func:`find_outside`.
    """
    scale = max(luminance.shape) / _SIDE
    luminance = ndimage.gaussian_filter(luminance, _SMOOTH * scale)
    bright = np.percentile(luminance, 80)
    regions = label_regions(luminance < _DARK * bright)
    ends = slice(None, margin), slice(-margin, None)
    corners = {int(n) for y in ends for x in ends for n in np.unique(regions[y, x])} - {0}
    black = find_touching(label_regions(luminance < _BLACK * bright), margin, margin)
    found = np.isin(regions, list(corners)) | black
    if narrow is not None:
        found = narrow(found, black, margin)
    outside = grow(found, round(_GROWN * scale))
    return np.zeros_like(outside) if outside.all() else outside


def find_frame_lines(luminance: np.ndarray) -> _Lines:
    """Find uniform, light lines along the border that hide a dark corner; all 0 without a frame."""
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
    """Count the outermost rows that form a line, up to the innermost light one.

    The result is 0 if all rows are uniform: that is a background, not a line.
    """
    middle = np.median(rows, 1)
    even = (np.abs(rows - middle[:, None]) <= _SPREAD * bright).mean(1) >= _EVEN
    lines = int(even.argmin()) if not even.all() else len(even)
    light = np.flatnonzero(middle[:lines] >= _LIGHT * bright)
    width = int(light[-1]) + 1 if light.size else 0
    return 0 if width == len(rows) else width


def _is_hidden(corner: np.ndarray, rows: int, columns: int, bright: float) -> bool:
    """Return whether lines of ``rows`` and ``columns`` pixels hide a dark corner at [0, 0]."""
    size = max(2, round(_MARGIN * max(corner.shape)))
    # Skip one pixel behind the line, which may be mixed with it.
    row, column = rows + (rows > 0), columns + (columns > 0)
    behind = float(np.median(corner[row : row + size, column : column + size]))
    if rows:
        shine = np.median(corner[:rows, : column + size], 1).max()
    else:
        shine = np.median(corner[:size, :columns], 0).max()
    return bool(behind < _DARK * bright and shine >= max(_LIGHT * bright, _STEP * behind))
