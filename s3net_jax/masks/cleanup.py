"""Cleaning masks: regions at the border, holes, small islands.

All functions take masks (..., H, W), each for itself: many at once cost less than one by one.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import numpy as np
from scipy import ndimage

from s3net_jax.config import SegmentConfig

__all__ = [
    "clean",
    "drop_islands",
    "fill_holes",
    "find_border_regions",
    "find_touching",
    "label_regions",
]

_INNER = 0.005
"""Share of the image that an inner region must have for regions at the border to give way."""

_MARGIN = 0.02
"""Share of the sides that counts as border: slivers beside it belong to what lies on it."""


_CROSS = np.zeros((3, 3, 3), bool)
_CROSS[1] = ndimage.generate_binary_structure(2, 1)
"""Neighbours in a stack of masks: those of one mask are none of another's."""


def label_regions(mask: np.ndarray) -> np.ndarray:
    """(..., H, W) int32: 0 outside ``mask``, 1, 2, ... in its 4-connected regions; over several
    masks the numbers go on."""
    stack = mask.reshape(-1, *mask.shape[-2:])
    regions, _ = cast(tuple[np.ndarray, int], ndimage.label(stack, _CROSS))
    return regions.reshape(mask.shape)


def find_border_regions(mask: np.ndarray) -> np.ndarray:
    """The connected regions of ``mask`` that reach into the outer 2 % of the image; bool."""
    rows, columns = (max(1, round(_MARGIN * side)) for side in mask.shape[-2:])
    return find_touching(label_regions(mask), rows, columns)


def find_touching(regions: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Where regions lie that reach into the outer ``rows`` and ``columns``; bool."""
    found = np.zeros(int(regions.max(initial=0)) + 1, bool)
    upper, lower = regions[..., :rows, :], regions[..., -rows:, :]
    for strip in (upper, lower, regions[..., :columns], regions[..., -columns:]):
        found[strip.ravel()] = True
    found[0] = False
    return regions > 0 if found[1:].all() else found.take(regions)  # faster than an index


class _Measured(NamedTuple):
    """A stack of masks (N, H, W), and their connected regions."""

    mask: np.ndarray
    regions: np.ndarray
    areas: np.ndarray
    """Pixels of each of the regions; none outside of them."""

    def find_largest(self) -> tuple[np.ndarray, np.ndarray]:
        """The largest region of each mask, the first of equal ones, or 0; and its area."""
        chosen, begin = [], 1
        for last in self.regions.max((1, 2), initial=0):
            here = self.areas[begin : last + 1]  # numbers go on from mask to mask
            chosen.append(begin + int(here.argmax()) if here.size else 0)
            begin = max(begin, int(last) + 1)
        largest = np.array(chosen, np.intp)
        return largest, self.areas[largest]


def _measure(mask: np.ndarray) -> _Measured:
    regions = label_regions(mask)
    areas = np.bincount(regions.ravel(), minlength=1)
    areas[0] = 0
    return _Measured(mask, regions, areas)


def drop_border(mask: np.ndarray) -> np.ndarray:
    """``mask`` without the regions at the border, if an inner region of some size is left.

    The air around a body and the dark corners of a vignette go; a lesion that is cut by the
    border stays, because without it only specks of less than 0.5 % of the image would be left.
    """
    stack = mask.reshape(-1, *mask.shape[-2:])
    inner, _, gives_way = _remove_border(stack)
    return np.where(gives_way[:, None, None], inner, stack).reshape(mask.shape)


def _remove_border(stack: np.ndarray) -> tuple[np.ndarray, _Measured, np.ndarray]:
    """The masks without their regions at the border; the same with their holes filled; and (N,)
    bool, whether these regions are left out (:func:`drop_border`)."""
    outer = find_border_regions(stack)
    inner = stack & ~outer
    filled = _measure(fill_holes(inner))
    large = filled.find_largest()[1] >= _INNER * stack[0].size
    return inner, filled, large | ~outer.any((1, 2))


def fill_holes(mask: np.ndarray) -> np.ndarray:
    """``mask`` with everything filled that it encloses (background is 4-connected)."""
    return ~find_touching(label_regions(~mask), 1, 1)


def drop_islands(mask: np.ndarray, smallest: float) -> np.ndarray:
    """``mask`` without regions under ``smallest`` × image area; the largest one always stays."""
    if smallest <= 0:
        return mask
    stack = mask.reshape(-1, *mask.shape[-2:])
    return _remove_islands(_measure(stack), smallest).reshape(mask.shape)


def _remove_islands(measured: _Measured, smallest: float) -> np.ndarray:
    mask, regions, areas = measured
    keep = areas >= smallest * mask[0].size
    keep[measured.find_largest()[0]] = True
    keep[0] = False
    return mask if keep[1:].all() else keep.take(regions)


def clean(mask: np.ndarray, config: SegmentConfig) -> np.ndarray:
    """``mask`` after the steps that ``config`` switches on: border, holes, islands, in this order.

    Doing it twice changes nothing.

    Args:
      mask: (..., H, W) bool.
      config: ``drop_border``, ``fill_holes`` and ``min_island`` are read.

    Returns:
      (..., H, W) bool, another array.
    """
    stack = mask.astype(bool).reshape(-1, *mask.shape[-2:])
    if stack.size:
        stack = _clean(stack, config)
    return stack.reshape(mask.shape)


def _clean(stack: np.ndarray, config: SegmentConfig) -> np.ndarray:
    if not config.drop_border:
        return _clean_inside(stack, config)
    inner, filled, gives_way = _remove_border(stack)
    # Finding regions is what all this costs: those that the border's rule looked at serve again.
    if config.fill_holes:
        result = _remove_islands(filled, config.min_island)
    else:
        result = _clean_inside(inner, config)
    if not gives_way.all():
        result[~gives_way] = _clean_inside(stack[~gives_way], config)
    return result


def _clean_inside(stack: np.ndarray, config: SegmentConfig) -> np.ndarray:
    """What follows the border."""
    if config.fill_holes:
        stack = fill_holes(stack)
    return drop_islands(stack, config.min_island)
