"""Places of frames that older multi-frame kinds give by one position and a rule."""

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
    """Return the position of frame ``n`` of a multi-frame file that places its first frame only.

    Reconstructed nuclear medicine numbers its slices, ``SpacingBetweenSlices`` apart along the
    normal, against it if negative (C.8.4.14 and C.8.4.15 of the standard).

    Args:
      data: the data set.
      n: index of the frame, from 0.
      axes: (2, 3) unit vectors along a row and along a column, LPS.
      first: (3,) position of the first frame, LPS.
    """
    normal = np.cross(axes[0], axes[1])
    slices = _parse_numbers(data.get("SliceVector"))
    spacing = _parse_numbers(data.get("SpacingBetweenSlices"))
    if slices is not None and spacing is not None and n < len(slices) and spacing[0] != 0:
        return first + normal * spacing[0] * (slices[n] - 1)
    return None


def _parse_numbers(value: Any) -> np.ndarray | None:
    """Return finite numbers, or None."""
    if value is None:
        return None
    try:
        array = np.atleast_1d(np.asarray(value, np.float64))
    except (TypeError, ValueError):
        return None
    return array if array.ndim == 1 and array.size and np.isfinite(array).all() else None
