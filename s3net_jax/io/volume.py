"""Volumes: voxels with their geometry, seen as slices that stand upright, and back."""

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
"""Largest volume that is opened by default (see :mod:`.limits`)."""

Axis = Literal["auto", "axial", "coronal", "sagittal"]
_DIRECTIONS = ("sagittal", "coronal", "axial")  # of slices, for each world axis across them
_THICK = 1.25  # times the other spacings: slices this far apart were acquired as slices


@dataclass(frozen=True, eq=False)
class Plane:
    """Where one slice of a DICOM volume comes from.

    Attributes:
      index: of the frame in its file, from 0.
      position: (3,) centre of the first pixel in LPS millimetres, or None if the file has none.
      axes: (2, 3) unit vectors along a row and along a column, or None if the file has none.
      spacing: between rows and between columns in millimetres, or None if the file has none.
    """

    index: int
    position: np.ndarray | None
    axes: np.ndarray | None
    spacing: tuple[float, float] | None


@dataclass(frozen=True, eq=False)
class Volume:
    """A volume as it lies in its file.

    Attributes:
      voxels: (X, Y, Z) numbers or (X, Y, Z, 3) uint8 colours, in the file's own order of axes.
      affine: (4, 4) float64, from voxel indices to millimetres towards the patient's right,
        front and head (RAS+), or None: pages without a place in space, Z the first axis.
      name: what messages call it.
      path: where it came from.
      form: ``nifti``, ``dicom`` or ``stack``.
      acquired: the axis along which slices were acquired, if that is known.
      origin: what writing in the same form needs: a NIfTI image without data, or data sets.
      notes: sentences a user should know.
      white_is_zero: whether white is the smallest value: slices are shown as negatives.
      planes: of a DICOM volume, the frame that each slice shows.
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

    @property
    def shape(self) -> tuple[int, int, int]:
        """(X, Y, Z)."""
        x, y, z = self.voxels.shape[:3]
        return x, y, z


class SliceView:
    """A volume's slices in one direction.

    Axial slices are seen from the feet, coronal ones from the front (the patient's right is on
    the left), sagittal ones from the patient's left. Pages of a stack are as they are.
    """

    def __init__(self, volume: Volume, axis: Axis = "auto") -> None:
        """Raises :class:`InputError` if the slices are too small, or a stack is cut across."""
        self.volume = volume
        self._order, self._flips = _compute_layout(volume, axis)
        self.shape = tuple(volume.shape[a] for a in self._order)
        _, height, width = self.shape
        if min(height, width) < MIN_SIDE:
            raise InputError(
                f"{volume.name} has slices of {width}×{height} voxels: at least "
                f"{MIN_SIDE}×{MIN_SIDE} are needed{_advise(volume, axis)}."
            )

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int) -> np.ndarray:
        """Slice ``index``: (H, W) or (H, W, 3)."""
        return self.get_slices(self.volume.voxels)[index]

    def get_slices(self, voxels: np.ndarray) -> np.ndarray:
        """Any array on the volume's grid, as (slices, H, W, ...); a view."""
        rest = tuple(range(3, voxels.ndim))
        return np.transpose(voxels, (*self._order, *rest))[self._flips]

    def restore(self, slices: np.ndarray) -> np.ndarray:
        """(slices, H, W) in the order of the volume's own axes: (X, Y, Z), contiguous."""
        result = np.empty(self.volume.shape, slices.dtype)
        self.get_slices(result)[...] = slices
        return result


def _advise(volume: Volume, axis: Axis) -> str:
    """What to do about slices that are too small."""
    fitting = _list_usable_axes(volume.shape)
    if volume.affine is None or axis == "auto" or not fitting:
        return ""  # no direction would do
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
    """For each voxel axis, the nearest of the axes right, front, head (0, 1, 2)."""
    from nibabel.orientations import io_orientation

    return [int(world) for world, _ in io_orientation(volume.affine)]


def _compute_layout(volume: Volume, axis: Axis) -> tuple[tuple[int, ...], tuple[slice, ...]]:
    """The order of axes that gives (slices, rows, columns), and the direction of each."""
    if volume.affine is None:
        if axis != "auto":
            raise InputError(
                f"{volume.name} is a stack of pages without a place in space: only input.axis=auto "
                "can cut it."
            )
        return (0, 1, 2), (slice(None),) * 3
    from nibabel.orientations import io_orientation

    # For each voxel axis the nearest of the axes right, front, head, and its sign.
    orientation = io_orientation(volume.affine)
    place = {int(world): (voxel, sign) for voxel, (world, sign) in enumerate(orientation)}
    if len(place) < 3:
        raise InputError(f"{volume.name} has an affine matrix that is singular: repair it first.")
    if axis == "auto":
        axis = _find_acquired_axis(volume, [int(world) for world, _ in orientation])
    # (world axis, wanted direction) of slices, rows (downwards) and columns (rightwards).
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
    """The direction in which slices were acquired; axial if that can't be told.

    An axis along which slices would be too small to segment can't be chosen: a volume of a
    single slice is that slice, whatever its spacing.
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
    """The axes whose slices are large enough to be segmented."""
    return [axis for axis in range(3) if min(np.delete(shape, axis)) >= MIN_SIDE]


def check_scaling(volume: Volume) -> None:
    """Raise :class:`InputError` if a copy scaled to float32 exceeds the limits; the reader of DICOM
    has counted it."""
    if volume.form == "dicom" or volume.path is None:
        return
    detached = volume.path.with_suffix(".img")
    file = detached if volume.path.suffix == ".hdr" and detached.is_file() else volume.path
    needed = volume.voxels.nbytes + 4 * volume.voxels.size
    check_bytes(volume.name, needed, measure_stored_bytes(file))


def check_size(name: str, shape: tuple[int, ...]) -> None:
    """Raises :class:`InputError` for more voxels than are opened, or none."""
    count = 1
    for side in shape:
        count *= int(side)
    text = "×".join(str(int(side)) for side in shape)
    if any(side < 1 for side in shape):
        raise InputError(f"{name} is {text} voxels: there is nothing in it.")
    limit = get_limits().max_voxels
    if count > limit:
        amount = f"{limit // 10**6:,} million" if limit % 10**6 == 0 else f"{limit:,}"
        raise InputError(
            f"{name} is {text} voxels, above the limit of {amount}: crop or resample it first, or "
            "raise the limit (--max-pixels, or s3net_jax.io.limits(max_pixels=...))."
        )
