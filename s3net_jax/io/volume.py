"""Volumes: voxels with their geometry, and conversion to and from upright slices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from s3net_jax.errors import InputError
from s3net_jax.io.image import MIN_SIDE
from s3net_jax.io.limits import Limits, check_bytes, get_limits, measure_stored_bytes

__all__ = [
    "MAX_VOXELS",
    "Axis",
    "Plane",
    "SliceView",
    "Volume",
    "check_scaling",
    "check_size",
]

MAX_VOXELS = Limits().max_voxels
"""Largest number of voxels accepted by default (see :mod:`.limits`)."""

Axis = Literal["auto", "axial", "coronal", "sagittal"]
_DIRECTIONS = ("sagittal", "coronal", "axial")  # name of the slices across each world axis
# A spacing this many times the other two marks the axis along which slices were acquired. Below
# this ratio the volume counts as nearly isotropic, and axial slices are used.
# Not tuned, and no reason is recorded.
_THICK = 1.25


@dataclass(frozen=True, eq=False)
class Plane:
    """Source frame and geometry of one slice of a DICOM volume.

    Attributes:
      index: index of the frame in its file, from 0.
      position: centre of the first pixel, (3,) in LPS millimetres, or None if not given.
      axes: unit vectors along a row and along a column, (2, 3) in LPS, or None if not given.
      spacing: distances between rows and between columns in millimetres, or None if not given.
    """

    index: int
    position: np.ndarray | None
    axes: np.ndarray | None
    spacing: tuple[float, float] | None


@dataclass(frozen=True, eq=False)
class Volume:
    """A volume in the axis order of its file.

    Attributes:
      voxels: numbers, (X, Y, Z), or uint8 colours, (X, Y, Z, 3), in the axis order of the file.
      affine: map from voxel indices to millimetres towards the patient's right, front and head
        (RAS+), (4, 4) float64; None for a stack of pages, which has no position in space and
        whose pages are along the first axis.
      name: name of the volume in messages.
      path: path of the source file or folder.
      form: source format: ``nifti``, ``dicom`` or ``stack``.
      acquired: axis along which slices were acquired, or None if unknown.
      origin: metadata for writing results in the same format: a NIfTI image without data, or
        DICOM data sets.
      notes: sentences to show to the user.
      white_is_zero: whether the smallest value means white; slices are then shown as negatives.
      planes: source frame of each slice, for DICOM volumes.
      unknown: distances in ``affine`` that are guesses because the file does not give them:
        ``pixels``, ``slices``.
    """

    voxels: np.ndarray
    affine: np.ndarray | None
    name: str
    path: Path | None
    form: Literal["nifti", "dicom", "stack"]
    acquired: int | None = None
    origin: Any = None
    notes: tuple[str, ...] = ()
    white_is_zero: bool = False
    planes: tuple[Plane, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """(X, Y, Z)."""
        x, y, z = self.voxels.shape[:3]
        return x, y, z


class SliceView:
    """A view of a volume as upright slices in one direction.

    Axial slices are viewed from the feet and coronal slices from the front, so the patient's
    right is on the left; sagittal slices are viewed from the patient's left. Pages of a stack are
    not reordered.
    """

    def __init__(self, volume: Volume, axis: Axis = "auto") -> None:
        """Choose the axis order and directions of the slices.

        Args:
          volume: volume to slice.
          axis: direction of the slices; ``auto`` uses the one in which they were acquired.

        Raises:
          InputError: the slices are too small, the affine matrix is singular, or an axis other
            than ``auto`` is given for a stack of pages.
        """
        self.volume = volume
        self._order, self._flips = _compute_layout(volume, axis)
        self.shape = tuple(volume.shape[a] for a in self._order)
        _, height, width = self.shape
        if min(height, width) < MIN_SIDE:
            raise InputError(
                f"{volume.name} has slices of {width}×{height} voxels; at least "
                f"{MIN_SIDE}×{MIN_SIDE} are needed{_advise(volume, axis)}."
            )

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int) -> np.ndarray:
        """Return slice ``index``, (H, W) or (H, W, 3)."""
        return self.get_slices(self.volume.voxels)[index]

    def get_slices(self, voxels: np.ndarray) -> np.ndarray:
        """Return a view of an array on the volume's grid as (slices, H, W, ...)."""
        rest = tuple(range(3, voxels.ndim))
        return np.transpose(voxels, (*self._order, *rest))[self._flips]

    def measure_axes(self) -> np.ndarray:
        """Return the vectors in millimetres from one slice, row and column to the next.

        Returns:
          (3, 3) float64, one vector in each row. The volume must have an affine matrix.
        """
        assert self.volume.affine is not None
        signs = [[flip.step or 1] for flip in self._flips]
        return self.volume.affine[:3, :3].T[list(self._order)] * signs

    def restore(self, slices: np.ndarray) -> np.ndarray:
        """Return slices (slices, H, W) as a contiguous array (X, Y, Z) in the volume's order."""
        result = np.empty(self.volume.shape, slices.dtype)
        # Writing through the view inverts the transposition and the flips.
        self.get_slices(result)[...] = slices
        return result


def _advise(volume: Volume, axis: Axis) -> str:
    """Return advice for slices that are too small, to append to the error."""
    fitting = _list_usable_axes(volume.shape)
    if volume.affine is None or axis == "auto" or not fitting:
        return ""  # no direction has large enough slices
    worlds = _match_world_axes(volume)
    names = [_DIRECTIONS[worlds[voxel]] for voxel in fitting]
    single = [voxel for voxel in range(3) if volume.shape[voxel] == 1]
    if len(single) == 1:
        return (
            f", and input.axis={axis} cuts across its single {names[0]} slice; choose "
            f"another direction: auto or {names[0]}"
        )
    return f" (input.axis={axis} was given; choose another direction: {' or '.join(names)})"


def _match_world_axes(volume: Volume) -> list[int]:
    """Return the nearest world axis (0 right, 1 front, 2 head) of each voxel axis."""
    from nibabel.orientations import io_orientation

    return [int(world) for world, _ in io_orientation(volume.affine)]


def _compute_layout(volume: Volume, axis: Axis) -> tuple[tuple[int, ...], tuple[slice, ...]]:
    """Return the axis order that gives (slices, rows, columns), and a slice to flip each axis."""
    if volume.affine is None:
        if axis != "auto":
            raise InputError(
                f"{volume.name} is a stack of pages without a position in space: use "
                "input.axis=auto."
            )
        return (0, 1, 2), (slice(None),) * 3
    from nibabel.orientations import io_orientation

    # The nearest world axis (right, front, head) of each voxel axis, and its sign.
    orientation = io_orientation(volume.affine)
    place = {int(world): (voxel, sign) for voxel, (world, sign) in enumerate(orientation)}
    if len(place) < 3:
        raise InputError(f"{volume.name} has a singular affine matrix: repair it first.")
    if axis == "auto":
        axis = _find_acquired_axis(volume, [int(world) for world, _ in orientation])
    # (world axis, direction) for slices, rows (downwards) and columns (to the right).
    wanted = {
        "axial": ((2, 1), (1, -1), (0, -1)),
        "coronal": ((1, 1), (2, -1), (0, -1)),
        "sagittal": ((0, 1), (2, -1), (1, -1)),
    }[axis]
    order = tuple(place[world][0] for world, _ in wanted)
    flips = tuple(slice(None, None, 1 if place[w][1] == sign else -1) for w, sign in wanted)
    return order, flips


def _find_acquired_axis(
    volume: Volume, worlds: list[int]
) -> Literal["axial", "coronal", "sagittal"]:
    """Return the direction in which slices were acquired, or axial if it cannot be determined.

    Directions whose slices are too small to segment are excluded, so a volume with a single
    slice yields that slice regardless of its spacing.
    """
    assert volume.affine is not None
    fitting = _list_usable_axes(volume.shape)
    voxel = volume.acquired
    if voxel is None and len(fitting) == 1:
        (voxel,) = fitting
    if voxel is None:
        spacing = np.linalg.norm(volume.affine[:3, :3], axis=0)
        widest = int(np.argmax(spacing))
        others = np.delete(spacing, widest)
        voxel = widest if spacing[widest] > _THICK * others.max() else worlds.index(2)
        if fitting and voxel not in fitting:
            voxel = min(fitting, key=lambda axis: volume.shape[axis])
    return _DIRECTIONS[worlds[voxel]]


def _list_usable_axes(shape: tuple[int, int, int]) -> list[int]:
    """Return the voxel axes across which slices are large enough to segment."""
    return [axis for axis in range(3) if min(np.delete(shape, axis)) >= MIN_SIDE]


def check_scaling(volume: Volume) -> None:
    """Raise :class:`InputError` if a scaled float32 copy of the voxels would exceed the limits."""
    if volume.form == "dicom" or volume.path is None:
        return  # checked while reading, or in memory already
    detached = volume.path.with_suffix(".img")
    file = detached if volume.path.suffix == ".hdr" and detached.is_file() else volume.path
    needed = volume.voxels.nbytes + 4 * volume.voxels.size
    check_bytes(volume.name, needed, measure_stored_bytes(file))


def check_size(name: str, shape: tuple[int, ...]) -> None:
    """Raise :class:`InputError` if a volume has no voxels, or more than the limit."""
    count = 1
    for side in shape:  # Python integers do not overflow
        count *= int(side)
    text = "×".join(str(int(side)) for side in shape)
    if any(side < 1 for side in shape):
        raise InputError(f"{name} is empty: it has {text} voxels.")
    limit = get_limits().max_voxels
    if count > limit:
        amount = f"{limit // 10**6:,} million" if limit % 10**6 == 0 else f"{limit:,}"
        raise InputError(
            f"{name} has {text} voxels, above the limit of {amount}: crop or resample it first, or "
            "raise the limit (--max-pixels, or s3net_jax.io.limits(max_pixels=...))."
        )
