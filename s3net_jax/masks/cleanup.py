"""Cleaning a mask: regions at the border, holes, small islands."""

from __future__ import annotations

from typing import NamedTuple, cast

import numpy as np
from scipy import ndimage

from s3net_jax.config import SegmentConfig

__all__ = ["border_regions", "clean", "connected_regions", "drop_islands", "fill_holes", "touching"]

_INNER = 0.005
"""Share of the image that an inner region must have for regions at the border to give way."""

_MARGIN = 0.02
"""Share of the sides that counts as border: slivers beside it belong to what lies on it."""


_CROSS = ndimage.generate_binary_structure(2, 1)


def connected_regions(mask: np.ndarray) -> np.ndarray:
    """(H, W) int32: 0 outside ``mask``, 1, 2, ... in its 4-connected regions."""
    regions, _ = cast(tuple[np.ndarray, int], ndimage.label(mask, _CROSS))
    return regions


def border_regions(mask: np.ndarray) -> np.ndarray:
    """The connected regions of ``mask`` that reach into the outer 2 % of the image; (H, W) bool."""
    rows, columns = (max(1, round(_MARGIN * side)) for side in mask.shape)
    return touching(connected_regions(mask), rows, columns)


def touching(regions: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Where regions lie that reach into the outer ``rows`` and ``columns``; (H, W) bool."""
    touching = np.zeros(int(regions.max()) + 1, bool)
    for strip in (regions[:rows], regions[-rows:], regions[:, :columns], regions[:, -columns:]):
        touching[strip.ravel()] = True
    touching[0] = False
    return regions > 0 if touching[1:].all() else touching[regions]


class _Filled(NamedTuple):
    """A mask without holes."""

    mask: np.ndarray
    regions: np.ndarray
    areas: np.ndarray
    """Pixels of each of the regions; none outside of them."""


def _filled(mask: np.ndarray) -> _Filled:
    filled = fill_holes(mask)
    return _Filled(filled, *_measured(filled))


def _measured(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The connected regions of a mask, and their areas; that of what lies outside them as 0."""
    regions = connected_regions(mask)
    areas = np.bincount(regions.ravel())
    areas[0] = 0
    return regions, areas


def drop_border(mask: np.ndarray) -> np.ndarray:
    """``mask`` without the regions at the border, if an inner region of some size is left.

    The air around a body and the dark corners of a vignette go; a lesion that is cut by the
    border stays, because without it only specks of less than 0.5 % of the image would be left.
    """
    return _without_border(mask)[0]


def _without_border(mask: np.ndarray) -> tuple[np.ndarray, _Filled | None]:
    """What :func:`drop_border` returns; and the same without holes, where it is known."""
    outer = border_regions(mask)
    inner = mask & ~outer
    filled = _filled(inner)
    if not outer.any() or filled.areas.max() >= _INNER * mask.size:
        return inner, filled
    return mask, None


def fill_holes(mask: np.ndarray) -> np.ndarray:
    """``mask`` with everything filled that it encloses (background is 4-connected)."""
    return ~touching(connected_regions(~mask), 1, 1)


def drop_islands(mask: np.ndarray, smallest: float) -> np.ndarray:
    """``mask`` without regions under ``smallest`` × image area; the largest one always stays."""
    return mask if smallest <= 0 else _without_islands(mask, *_measured(mask), smallest)


def _without_islands(
    mask: np.ndarray, regions: np.ndarray, areas: np.ndarray, smallest: float
) -> np.ndarray:
    keep = areas >= smallest * mask.size
    keep[areas.argmax()] = True
    return mask if keep[1:].all() else keep[regions]


def clean(mask: np.ndarray, config: SegmentConfig) -> np.ndarray:
    """``mask`` after the steps that ``config`` switches on: border, holes, islands, in this order.

    Doing it twice changes nothing.

    Args:
      mask: (H, W) bool.
      config: ``drop_border``, ``fill_holes`` and ``min_island`` are read.

    Returns:
      (H, W) bool, another array.
    """
    mask, filled = mask.astype(bool), None
    if config.drop_border:
        mask, filled = _without_border(mask)
    if not config.fill_holes:
        return drop_islands(mask, config.min_island)
    # Finding regions is what all this costs: those that the border's rule looked at serve again.
    filled = filled or _filled(mask)
    return _without_islands(*filled, config.min_island)
