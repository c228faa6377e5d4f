"""Compute frame positions of older multi-frame classes, which store only the first position."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["compute_implied_position", "find_detector_element"]


def find_detector_element(data: Any, tag: str) -> Any:
    """Return an element of a nuclear medicine image's first detector, or None."""
    detectors = data.get("DetectorInformationSequence")
    return detectors[0].get(tag) if detectors else None


def compute_implied_position(
    data: Any, n: int, axes: np.ndarray, first: np.ndarray
) -> np.ndarray | None:
    """Return the position of frame ``n`` in a multi-frame file that stores only the first one.

    Reconstructed nuclear medicine images number their slices. These are ``SpacingBetweenSlices``
    apart along the normal; a negative value means the opposite direction (DICOM PS3.3 C.8.4.14
    and C.8.4.15).

    Args:
      data: data set of the file.
      n: index of the frame, from 0.
      axes: unit vectors along a row and along a column, (2, 3) in LPS.
      first: position of the first frame, (3,) in LPS millimetres.

    Returns:
      Position, (3,) in LPS millimetres, or None if the file does not number its slices.
    """
    normal = np.cross(axes[0], axes[1])
    slices = _parse_numbers(data.get("SliceVector"))
    spacing = _parse_numbers(data.get("SpacingBetweenSlices"))
    if slices is not None and spacing is not None and n < len(slices) and spacing[0] != 0:
        return first + normal * spacing[0] * (slices[n] - 1)
    return None


def _parse_numbers(value: Any) -> np.ndarray | None:
    """Return ``value`` as a vector of finite numbers, or None."""
    if value is None:
        return None
    try:
        array = np.atleast_1d(np.asarray(value, np.float64))
    except (TypeError, ValueError):
        return None
    return array if array.ndim == 1 and array.size and np.isfinite(array).all() else None
