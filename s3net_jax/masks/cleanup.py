"""Clean masks: remove regions at the border, fill holes, drop small islands.

Every function accepts a stack of masks (..., H, W) and treats each mask separately. One call for a
stack is faster than one call for each mask.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import numpy as np
from scipy import ndimage

from s3net_jax.config import SegmentConfig

__all__ = [
    "CROSS",
    "clean",
    "drop_islands",
    "fill_holes",
    "fill_pockets",
    "find_border_regions",
    "find_pockets",
    "find_touching",
    "label_regions",
]

_INNER = 0.005
"""Smallest inner region, as a fraction of the image, for which border regions are removed. Half: no
change; double: one slice better."""

_MARGIN = 0.02
"""Width of the border, as a fraction of the sides. It is wider than one pixel so that slivers
beside a border region are removed with it. Half: no change; double: +0.1 on PH²."""


_POCKET = 0.005
"""Largest hole of a chosen cluster that is filled, as a fraction of the image: that of
:mod:`.boundary`, where vessels in a lung are filled and the heart between two lungs is not."""

CROSS = np.zeros((3, 3, 3), bool)
CROSS[1] = ndimage.generate_binary_structure(2, 1)
"""4-connectivity within each mask of a stack, and none between masks."""


def label_regions(mask: np.ndarray) -> np.ndarray:
    """Number the 4-connected regions of ``mask``.

    Returns:
      (..., H, W) int32: 0 outside ``mask``, 1, 2, ... inside; numbering continues from one mask of
      a stack to the next.
    """
    stack = mask.reshape(-1, *mask.shape[-2:])
    regions, _ = cast(tuple[np.ndarray, int], ndimage.label(stack, CROSS))
    return regions.reshape(mask.shape)


def find_border_regions(mask: np.ndarray) -> np.ndarray:
    """Return the connected regions of ``mask`` that reach into the outer 2 % of the image."""
    rows, columns = (max(1, round(_MARGIN * side)) for side in mask.shape[-2:])
    return find_touching(label_regions(mask), rows, columns)


def find_touching(regions: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Return the pixels of regions that reach into the outer ``rows`` or ``columns``; bool."""
    found = np.zeros(int(regions.max(initial=0)) + 1, bool)
    upper, lower = regions[..., :rows, :], regions[..., -rows:, :]
    for strip in (upper, lower, regions[..., :columns], regions[..., -columns:]):
        found[strip.ravel()] = True
    found[0] = False
    return regions > 0 if found[1:].all() else found.take(regions)  # faster than indexing


class _Measured(NamedTuple):
    """A stack of masks (N, H, W) and its connected regions."""

    mask: np.ndarray
    regions: np.ndarray
    areas: np.ndarray
    """Area of each region in pixels; entry 0, the background, is 0."""

    def find_largest(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the number of each mask's largest region (the first at a tie, 0 if none) and its
        area."""
        chosen, begin = [], 1
        for last in self.regions.max((1, 2), initial=0):
            here = self.areas[begin : last + 1]  # region numbers continue from mask to mask
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
    """Remove the regions at the border if a large enough inner region remains.

    This removes the air around a body and the dark corners of a vignette. A lesion that is cut by
    the border stays, because removing it would leave only specks of less than 0.5 % of the image.
    """
    stack = mask.reshape(-1, *mask.shape[-2:])
    inner, _, gives_way = _remove_border(stack)
    return np.where(gives_way[:, None, None], inner, stack).reshape(mask.shape)


def _remove_border(stack: np.ndarray) -> tuple[np.ndarray, _Measured, np.ndarray]:
    """Return the masks without border regions, the same with holes filled, and (N,) bool: whether
    the border regions of each mask are to be removed (:func:`drop_border`)."""
    outer = find_border_regions(stack)
    inner = stack & ~outer
    filled = _measure(fill_holes(inner))
    large = filled.find_largest()[1] >= _INNER * stack[0].size
    return inner, filled, large | ~outer.any((1, 2))


def fill_holes(mask: np.ndarray) -> np.ndarray:
    """Fill everything that ``mask`` encloses (the background is 4-connected)."""
    return ~find_touching(label_regions(~mask), 1, 1)


def find_pockets(mask: np.ndarray, largest: float) -> np.ndarray:
    """Return the holes of ``mask`` that have at most ``largest`` pixels; (..., H, W) bool."""
    holes = label_regions(fill_holes(mask) & ~mask)
    areas = np.bincount(holes.ravel())
    return (holes > 0) & (areas <= largest)[holes]


def fill_pockets(mask: np.ndarray, config: SegmentConfig) -> np.ndarray:
    """Fill the small holes of clusters that a person chose by their labels.

    A cluster that surrounds others, such as the wall of a bladder, keeps the hole that they make:
    whoever chooses its label has seen it. Holes of at most 0.5 % of the image are specks.

    Args:
      mask: (..., H, W) bool.
      config: segmentation settings; without ``fill_holes``, nothing is filled.
    """
    if not config.fill_holes:
        return mask
    height, width = mask.shape[-2:]
    return mask | find_pockets(mask, _POCKET * height * width)


def drop_islands(mask: np.ndarray, smallest: float) -> np.ndarray:
    """Remove regions below ``smallest`` × image area; the largest region always stays."""
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
    """Apply the clean-up steps that ``config`` enables, in the order border, holes, islands.

    The operation is idempotent.

    Args:
      mask: (..., H, W) bool mask or stack of masks.
      config: segmentation settings; ``drop_border``, ``fill_holes`` and ``min_island`` are read.

    Returns:
      (..., H, W) bool, a new array.
    """
    stack = mask.astype(bool).reshape(-1, *mask.shape[-2:])
    if stack.size:
        stack = _clean(stack, config)
    return stack.reshape(mask.shape)


def _clean(stack: np.ndarray, config: SegmentConfig) -> np.ndarray:
    if not config.drop_border:
        return _clean_inside(stack, config)
    inner, filled, gives_way = _remove_border(stack)
    # Labelling regions dominates the cost, so the regions found for the border rule are reused.
    if config.fill_holes:
        result = _remove_islands(filled, config.min_island)
    else:
        result = _clean_inside(inner, config)
    if not gives_way.all():
        result[~gives_way] = _clean_inside(stack[~gives_way], config)
    return result


def _clean_inside(stack: np.ndarray, config: SegmentConfig) -> np.ndarray:
    """Apply the steps after the border rule: holes, then islands."""
    if config.fill_holes:
        stack = fill_holes(stack)
    return drop_islands(stack, config.min_island)
