"""Geometry of DICOM frames in the patient, and the affine matrix of a stack of frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from s3net_jax.io.dicom.implied import compute_implied_position, find_detector_element
from s3net_jax.io.volume import Plane

__all__ = ["Frame", "describe_planes", "find_functional", "place_frames", "read_frames"]

# A note reports uneven slices if a distance differs from the mean by more than this fraction of it,
_UNEVEN = 0.02
# or if a slice is further than this fraction from its position on a regular grid, to which small
# differences may add up. Smaller shifts are not visible. Not tuned: 2 % is above the rounding of
# positions to 0.01 mm at 1 mm, and far below a missing slice (100 %).
_DRIFT = 0.1


@dataclass(frozen=True, eq=False)
class Frame:
    """One image of a series.

    Attributes:
      pixels: pixels, (rows, columns) float32 or (rows, columns, 3) uint8.
      data: data set that contains the frame.
      position: centre of the first pixel in millimetres towards the patient's left, back and head
        (LPS), (3,), or None if not given.
      axes: unit vectors along a row and along a column, (2, 3) in LPS.
      spacing: distances between rows and between columns in millimetres, or None if not given.
      thickness: distance between slices in millimetres, or None if not given.
      number: instance number plus index of the frame.
      index: index of the frame within its file, from 0.
      is_oriented: whether the file gives the orientation; otherwise ``axes`` are axial.
      is_padding: whether all pixels are padding.
    """

    pixels: np.ndarray
    data: Any
    position: np.ndarray | None
    axes: np.ndarray
    spacing: tuple[float, float] | None
    thickness: float | None
    number: int
    index: int = 0
    is_oriented: bool = True
    is_padding: bool = False


def read_frames(data: Any, pixels: np.ndarray) -> list[Frame]:
    """Combine the pixels of one file, (frames, rows, columns, ...), with their geometry."""
    each = data.get("PerFrameFunctionalGroupsSequence")
    frames = []
    for n in range(len(pixels)):

        def find(sequence: str, tag: str, n: int = n) -> Any:
            found = find_functional(data, n, sequence, tag)
            found = data.get(tag) if found is None else found
            return find_detector_element(data, tag) if found is None else found

        axes = _parse_axes(find("PlaneOrientationSequence", "ImageOrientationPatient"))
        position = _parse_vector(find("PlanePositionSequence", "ImagePositionPatient"), 3)
        if len(pixels) > 1 and not each and position is not None:
            # A film, or a file that gives only the position of its first frame.
            position = None if axes is None else compute_implied_position(data, n, axes, position)
        spacing = _parse_vector(find("PixelMeasuresSequence", "PixelSpacing"), 2)
        for tag in ("ImagerPixelSpacing", "NominalScannedPixelSpacing"):
            if spacing is None or min(spacing) <= 0:
                spacing = _parse_vector(data.get(tag), 2)
        thickness = find("PixelMeasuresSequence", "SpacingBetweenSlices")
        if thickness is None:
            thickness = find("PixelMeasuresSequence", "SliceThickness")
        if spacing is not None and min(spacing) <= 0:
            spacing = None
        frames.append(
            Frame(
                pixels[n],
                data,
                position,
                np.eye(3)[:2] if axes is None else axes,
                None if spacing is None else (float(spacing[0]), float(spacing[1])),
                _parse_length(thickness),
                int(_parse_positive(data.get("InstanceNumber")) or 0) + n,
                n,
                is_oriented=axes is not None,
            )
        )
    return frames


class Placed(NamedTuple):
    """Frames in their place in the patient.

    Attributes:
      frames: frames, sorted by position.
      affine: map from (column, row, slice) to RAS+ millimetres, (4, 4) float64.
      notes: sentences about missing or irregular geometry.
      unknown: distances that no file gives, for which 1 mm is assumed: ``pixels``, ``slices``.
    """

    frames: list[Frame]
    affine: np.ndarray
    notes: tuple[str, ...]
    unknown: tuple[str, ...]


def describe_planes(frames: list[Frame]) -> tuple[Plane, ...]:
    """Describe source and geometry of each of ``frames``, without pixels."""
    return tuple(
        Plane(f.index, f.position, f.axes if f.is_oriented else None, f.spacing) for f in frames
    )


def find_functional(data: Any, n: int, sequence: str, tag: str) -> Any:
    """Return an element from the functional groups of frame ``n``, or from the shared ones.

    Returns:
      The value, or None if there is none, as in single-frame files.
    """
    each = data.get("PerFrameFunctionalGroupsSequence") or []
    shared = _get_first(data.get("SharedFunctionalGroupsSequence"))
    for group in (each[n] if n < len(each) else None, shared):
        item = None if group is None else _get_first(group.get(sequence))
        if item is not None and item.get(tag) is not None:
            return item.get(tag)
    return None


def place_frames(frames: list[Frame], name: str) -> Placed:
    """Sort frames by position and compute their affine.

    Args:
      frames: frames of one volume.
      name: name of the volume in notes.

    Missing geometry is guessed, and noted.
    """
    notes: list[str] = []
    first = frames[0]
    normal = np.cross(first.axes[0], first.axes[1])
    step = normal * (first.thickness or 1.0)
    origin = np.zeros(3) if first.position is None else first.position
    if any(frame.position is None for frame in frames):
        frames = sorted(frames, key=lambda frame: frame.number)
        if len(frames) > 1:
            notes.append(
                f"{name} has no image positions; its images are taken in the order of their "
                "numbers."
            )
    else:
        frames = sorted(frames, key=lambda frame: float(frame.position @ normal))  # pyright: ignore[reportOptionalOperand]
        positions = np.array([frame.position for frame in frames])
        origin = positions[0]
        if len(frames) > 1:
            steps = np.diff(positions, axis=0)
            step = (positions[-1] - positions[0]) / (len(frames) - 1)
            distance = np.linalg.norm(step)
            regular = origin + step * np.arange(len(frames))[:, None]
            off = np.linalg.norm(positions - regular, axis=1).max()
            if np.abs(steps - step).max() > _UNEVEN * distance or off > _DRIFT * distance:
                notes.append(
                    f"{name} has unevenly spaced slices (a slice may be missing); the affine "
                    "matrix of the results uses the mean distance, which shifts slices by up to "
                    f"{off:.3g} mm. The DICOM SEG has the exact positions."
                )
        if not all(frame.is_oriented for frame in frames):
            notes.append(f"{name} has no image orientation; its images are taken as axial.")
    unplaced = len(frames) > 1 and any(frame.position is None for frame in frames)
    missing = ["pixels"] * (first.spacing is None)
    missing += ["slices"] * (unplaced and first.thickness is None)
    if missing:
        notes.append(
            f"{name} does not give the spacing of its {' and '.join(missing)}; 1 mm is assumed, so "
            "lengths in the results are meaningless."
        )
    rows, columns = first.spacing or (1.0, 1.0)
    affine = np.eye(4)
    affine[:3, 0] = first.axes[0] * columns
    affine[:3, 1] = first.axes[1] * rows
    affine[:3, 2] = step
    affine[:3, 3] = origin
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    return Placed(frames, affine, tuple(notes), tuple(missing))


def _get_first(sequence: Any) -> Any:
    return sequence[0] if sequence else None


def _parse_vector(value: Any, length: int) -> np.ndarray | None:
    if value is None:
        return None
    array = np.atleast_1d(np.asarray(value, np.float64))
    return array if array.shape == (length,) and np.isfinite(array).all() else None


def _parse_axes(value: Any) -> np.ndarray | None:
    """Return two orthogonal unit vectors, (2, 3), or None if ``value`` does not hold such."""
    array = _parse_vector(value, 6)
    if array is not None:
        axes = array.reshape(2, 3)
        lengths = np.linalg.norm(axes, axis=1)
        # Tolerates rounding; rejects zeros and axes that are clearly not orthogonal.
        if lengths.min() > 0.5 and abs(axes[0] @ axes[1]) < 0.1 * lengths.prod():
            return axes / lengths[:, None]  # corrects rounding in the file
    return None


def _parse_length(value: Any) -> float | None:
    """Return a distance; the sign of ``SpacingBetweenSlices`` is only a direction."""
    try:
        return _parse_positive(abs(float(value)))
    except (TypeError, ValueError):
        return None


def _parse_positive(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) and number > 0 else None
