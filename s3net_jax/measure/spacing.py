"""Find the size of the pixels of an image in millimetres: given, or recorded in its file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from s3net_jax.errors import ConfigError
from s3net_jax.io import Resolution, SliceView

__all__ = [
    "Spacing",
    "check_pixel_size",
    "find_picture_spacing",
    "find_volume_spacing",
    "make_spacing",
    "parse_pixel_size",
]

# Programs write these resolutions into TIFF files of which they know no size, because they are
# those of screens.
_SCREENS = (72, 96)  # dots per inch


@dataclass(frozen=True, eq=False)
class Spacing:
    """Distances between neighbouring pixels.

    Attributes:
      axes: millimetres between neighbours along each axis, as vectors in the rows of an (n, n)
        float64 array, n = 2 (row, column) or 3 (slice, row, column). It is diagonal unless a volume
        is sheared. A distance that is not known is NaN.
      source: where the distances come from, such as ``DICOM``.
    """

    axes: np.ndarray
    source: str

    @property
    def lengths(self) -> np.ndarray:
        """Millimetres along each axis, (n,) float64."""
        return np.linalg.norm(self.axes, axis=1)

    @property
    def pixel(self) -> float:
        """Area of a pixel in mm², or volume of a voxel in mm³; NaN if a distance is not known."""
        if np.isnan(self.axes).any():
            return math.nan
        return abs(float(np.linalg.det(self.axes)))

    def flatten(self) -> Spacing:
        """Return the spacing within a slice."""
        return Spacing(np.diag(self.lengths[-2:]), self.source)


def make_spacing(spacing: float | Sequence[float], dimensions: int) -> Spacing:
    """Make a spacing from one number or one for each axis.

    Args:
      spacing: millimetres between pixels, one number for all axes or one for each, in the order
        of the axes of an array: (row, column) or (slice, row, column).
      dimensions: 2 or 3.

    Raises:
      ValueError: the numbers are not positive, or not one for each axis.
    """
    try:
        numbers = np.array(spacing, np.float64)
    except (TypeError, ValueError):
        numbers = np.array(math.nan)
    if (
        numbers.shape not in ((), (dimensions,))
        or not (numbers > 0).all()
        or np.isinf(numbers).any()
    ):
        axes = "(row, column)" if dimensions == 2 else "(slice, row, column)"
        raise ValueError(
            f"spacing can't be {spacing!r}: give the millimetres between pixels, one positive "
            f"number or {dimensions}, {axes}."
        )
    return Spacing(np.diag(np.broadcast_to(numbers, dimensions)), "argument")


def check_pixel_size(size: float | Sequence[float] | None) -> tuple[float, ...] | None:
    """Check a pixel size in millimetres: one number, (x, y) or (x, y, z).

    Returns:
      The size as (x, y) or (x, y, z); None for None.

    Raises:
      ConfigError: the size is something else, or a number is not positive.
    """
    if size is None:
        return None
    try:
        numbers = tuple(float(number) for number in np.atleast_1d(np.asarray(size)))
    except (TypeError, ValueError):
        numbers = ()
    if not 1 <= len(numbers) <= 3 or not all(math.isfinite(n) and n > 0 for n in numbers):
        raise _make_size_error(size)
    return numbers * 2 if len(numbers) == 1 else numbers


def parse_pixel_size(text: str) -> tuple[float, ...] | None:
    """Parse ``MM``, ``X,Y`` or ``X,Y,Z``; see :func:`check_pixel_size`."""
    try:
        return check_pixel_size([float(part) for part in text.split(",")])
    except ValueError:
        raise _make_size_error(text) from None


def _make_size_error(size: object) -> ConfigError:
    return ConfigError(
        f"The pixel size can't be {size!r}: give millimetres as one positive number, or as X,Y or "
        "X,Y,Z."
    )


def find_picture_spacing(
    resolution: Resolution | None, given: Sequence[float] | None = None
) -> Spacing | None:
    """Find the pixel size of a picture.

    Only TIFF files are believed: the resolution of a PNG, JPEG or BMP file is that of a screen or
    of a print, not of the object. So are 72 and 96 dots per inch in a TIFF file without ImageJ or
    OME metadata.

    Args:
      resolution: resolution that the file records, or None.
      given: size that the user gave, (x, y, ...) in millimetres; it takes precedence.

    Returns:
      The spacing (row, column), or None if it is not known.
    """
    if given is not None:
        return Spacing(np.diag([given[1], given[0]]).astype(np.float64), "option")
    if resolution is None or resolution.is_print:
        return None
    pixel = resolution.measure_pixel()
    if pixel is None:
        return None
    if resolution.form == "tags" and any(
        abs(25.4 / length - dots) < 0.5 for dots in _SCREENS for length in pixel
    ):
        return None
    names = {"tags": "TIFF", "imagej": "ImageJ", "ome": "OME-TIFF"}
    return Spacing(np.diag(pixel), names[resolution.form])


def find_volume_spacing(
    view: SliceView, resolution: Resolution | None, given: Sequence[float] | None = None
) -> Spacing | None:
    """Find the voxel size of a volume along (slice, row, column).

    Args:
      view: volume as slices.
      resolution: resolution of a TIFF stack, or None.
      given: size that the user gave, (x, y) or (x, y, z) in millimetres; it takes precedence.

    Returns:
      The spacing, whose distance between slices is NaN if only that is not known; None if the
      pixel size is not known.
    """
    volume = view.volume
    found = None
    if volume.affine is None:
        flat = find_picture_spacing(resolution)
        if flat is not None:
            between = None if resolution is None else resolution.measure_slice()
            lengths = [math.nan if between is None else between, *flat.lengths]
            found = Spacing(np.diag(lengths), flat.source)
    else:
        names = {"dicom": "DICOM", "nifti": "NIfTI", "stack": "argument"}
        axes = np.asarray(view.measure_axes(), np.float64)
        # The reader takes 1 mm for distances that a DICOM file does not give.
        if "slices" in volume.unknown:
            axes = np.diag([math.nan, *np.linalg.norm(axes[1:], axis=1)])
        if "pixels" not in volume.unknown:
            found = Spacing(axes, names[volume.form])
    if given is None:
        return found
    between = math.nan if found is None else float(found.lengths[0])
    if len(given) == 3:
        between = given[2]
    return Spacing(np.diag([between, given[1], given[0]]), "option")
