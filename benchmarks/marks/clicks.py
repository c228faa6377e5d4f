"""Simulate clicks from ground truth, and score masks after them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import ndimage

__all__ = ["CLICKS", "RULE", "Sample", "Solver", "place_click", "score_clicks"]

CLICKS = 5
"""Largest number of clicks."""

RULE = (
    "Each click is placed in the largest 4-connected region in which mask and ground truth differ, "
    "at the pixel farthest from the border of that region (the first in reading order at a tie)."
)

Solver = Callable[["Sample", np.ndarray, np.ndarray], np.ndarray]
"""Function from a sample and (H, W) bool marks inside and outside to a (H, W) bool mask."""


class Sample(NamedTuple):
    """One segmented image with ground truth.

    Attributes:
      image: (H, W, 3) uint8 image.
      clusters: (H, W) int32 label map without the target.
      mask: (H, W) bool mask of the target.
      truth: (H, W) bool ground truth.
    """

    image: np.ndarray
    clusters: np.ndarray
    mask: np.ndarray
    truth: np.ndarray


def place_click(mask: np.ndarray, truth: np.ndarray) -> tuple[int, int] | None:
    """Return (row, column) of the next click by :data:`RULE`, or None if the mask is exact."""
    regions, count = ndimage.label(mask ^ truth)  # pyright: ignore[reportGeneralTypeIssues]
    if count == 0:
        return None
    largest = 1 + int(np.bincount(regions.ravel())[1:].argmax())
    depth = np.asarray(ndimage.distance_transform_edt(np.pad(regions == largest, 1)))
    row, column = np.unravel_index(int(depth[1:-1, 1:-1].argmax()), mask.shape)
    return int(row), int(column)


def score_clicks(sample: Sample, solve: Solver) -> list[float]:
    """Return the DSC in percent before the first click and after each of :data:`CLICKS` clicks.

    After each click, all clicks so far are solved again from the first mask.
    """
    marks = np.zeros((2, *sample.mask.shape), bool)  # outside, inside
    mask = sample.mask
    scores = [_compute_dsc(mask, sample.truth)]
    for _ in range(CLICKS):
        click = place_click(mask, sample.truth)
        if click is not None:
            marks[(int(sample.truth[click]), *click)] = True
            mask = solve(sample, marks[1], marks[0])
        scores.append(_compute_dsc(mask, sample.truth))
    return scores


def _compute_dsc(mask: np.ndarray, truth: np.ndarray) -> float:
    return round(200 * np.count_nonzero(mask & truth) / (mask.sum() + truth.sum()), 2)
