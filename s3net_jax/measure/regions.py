"""Measure the regions of a mask or label map: size, shape, place, and colours inside."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from skimage.measure import regionprops

from s3net_jax.measure.shapes import compute_diameters, compute_perimeter, find_hull
from s3net_jax.measure.spacing import Spacing, make_spacing

__all__ = ["FLAT", "SOLID", "VALUES", "Row", "measure_labels", "measure_mask", "measure_regions"]

Row = dict[str, float | int | str | None]
"""Measures of one region by name; the ending of a name is its unit. None: unknown or undefined."""

_GEOMETRY = ("pixel_width_mm", "pixel_height_mm", "slice_distance_mm", "pixel_size_from")
FLAT = (
    "pixel_width_mm",
    "pixel_height_mm",
    "pixel_size_from",
    "area_px",
    "area_fraction",
    "area_mm2",
    "perimeter_px",
    "perimeter_mm",
    "feret_max_px",
    "feret_max_mm",
    "feret_min_px",
    "feret_min_mm",
    "major_axis_px",
    "major_axis_mm",
    "minor_axis_px",
    "minor_axis_mm",
    "eccentricity",
    "centroid_x_px",
    "centroid_y_px",
    "bbox_x_px",
    "bbox_y_px",
    "bbox_width_px",
    "bbox_height_px",
)
"""Names of the measures of a region of an image, without those of its colours."""
SOLID = (
    *_GEOMETRY,
    "volume_voxels",
    "volume_fraction",
    "volume_mm3",
    "volume_ml",
    "feret_max_mm",
    "centroid_x_px",
    "centroid_y_px",
    "centroid_slice",
    "bbox_x_px",
    "bbox_y_px",
    "bbox_slice",
    "bbox_width_px",
    "bbox_height_px",
    "bbox_slices",
)
"""Names of the measures of a region of a volume, without those of its values."""
VALUES = tuple(
    f"{what}_{channel}"
    for channel in ("red", "green", "blue", "hu", "value")
    for what in ("mean", "sd")
)
"""Names of the measures of colours (0 to 255), Hounsfield units, or other values."""


def measure_mask(
    mask: np.ndarray, image: Any = None, spacing: float | Sequence[float] | None = None
) -> Row:
    """Measure a mask as one region, whether or not it is connected.

    Args:
      mask: bool mask, (H, W), or (slices, H, W) for a volume; of numbers, those above 0 are inside.
      image: colours or values to average inside the mask, of the shape of the mask, optionally with
        a last axis of three colours; None measures none.
      spacing: distances between pixels in millimetres, one number or one for each axis in the order
        of the axes of ``mask``: (row, column) or (slice, row, column). None: unknown.

    Returns:
      Measures by name; the ending of a name is its unit, and None stands for what is unknown (mm
      without ``spacing``) or undefined (the centroid of an empty mask, whose area is 0).

      Of an image: ``area_px``, ``area_fraction`` (of the image), ``area_mm2``; ``perimeter_px``,
      ``perimeter_mm`` (outlines of holes included); ``feret_max_…`` and ``feret_min_…``, the
      largest and smallest distance between two parallel lines that enclose the region, whose
      pixels are rectangles; ``major_axis_…``, ``minor_axis_…`` and ``eccentricity`` of the ellipse
      with the same second moments; ``centroid_x_px`` and ``centroid_y_px``, pixels from the centre
      of the left column and upper row; ``bbox_x_px``, ``bbox_y_px``, ``bbox_width_px`` and
      ``bbox_height_px``, the box around the region; ``pixel_width_mm`` and ``pixel_height_mm``.

      Of a volume: ``volume_voxels``, ``volume_fraction``, ``volume_mm3``, ``volume_ml``,
      ``feret_max_mm``, and centroid and box as above with ``centroid_slice``, ``bbox_slice`` (both
      from 0) and ``bbox_slices``, the number of slices.

      Of colours: ``mean_red``, ``sd_red`` and so on, in the numbers of ``image``; of other values
      ``mean_value`` and ``sd_value`` (standard deviation over the pixels).

    Raises:
      ValueError: the mask has another number of axes, the image another shape, or ``spacing`` is
        not positive numbers.
    """
    inside = np.asarray(mask) > 0
    geometry = _check_arguments(inside, image, spacing)
    rows = measure_regions(inside, None if image is None else np.asarray(image), geometry)
    return {name: value for name, value in rows[0].items() if name != "label"}


def measure_labels(
    labels: np.ndarray, image: Any = None, spacing: float | Sequence[float] | None = None
) -> list[Row]:
    """Measure every label of a label map.

    Args:
      labels: integer label map, (H, W) or (slices, H, W), with labels of at least 0.
      image: colours or values, as for :func:`measure_mask`.
      spacing: millimetres between pixels, as for :func:`measure_mask`.

    Returns:
      The measures of :func:`measure_mask` for each label that occurs, with the number ``label``, in
      ascending order. A background of label 0 is measured, too.

    Raises:
      ValueError: see :func:`measure_mask`; or the labels are not integers of at least 0.
    """
    labels = np.asarray(labels)
    geometry = _check_arguments(labels, image, spacing)
    if labels.dtype.kind not in "iu" or (labels.size and labels.min() < 0):
        raise ValueError("labels must be whole numbers of at least 0.")
    return measure_regions(labels, None if image is None else np.asarray(image), geometry)


def measure_regions(
    labels: np.ndarray,
    image: np.ndarray | None,
    spacing: Spacing | None,
    *,
    quantity: str = "value",
    has_background: bool = False,
) -> list[Row]:
    """Measure the regions of checked arguments.

    Args:
      labels: integer label map; or a bool mask, which is one region, even if it is empty.
      image: values of the same shape, optionally with three channels, or None.
      spacing: distances between pixels, or None.
      quantity: name of values with one channel: ``value`` or ``hu``.
      has_background: whether label 0 is no region.

    Returns:
      The row of each label in ascending order.
    """
    is_mask = labels.dtype == bool
    # regionprops leaves out label 0.
    shift = 0 if is_mask or has_background else 1
    numbered = labels.view(np.uint8) if is_mask else labels.astype(np.int32) + np.int32(shift)
    measure = _measure_flat if labels.ndim == 2 else _measure_solid
    rows: list[Row] = []
    for region in regionprops(numbered):
        row: Row = {"label": int(region.label) - shift}
        row |= _describe_spacing(spacing, labels.ndim) | measure(region, spacing, labels.size)
        if image is not None:
            row |= _measure_values(image[region.slice][region.image], quantity)
        rows.append({name: _clear(value) for name, value in row.items()})
    if is_mask and not rows:
        rows.append(_describe_nothing(labels, image, spacing, quantity))
    return rows


def _check_arguments(
    labels: np.ndarray, image: Any, spacing: float | Sequence[float] | None
) -> Spacing | None:
    if labels.ndim not in (2, 3) or labels.size == 0:
        raise ValueError(
            f"The mask or label map has shape {labels.shape}: give (H, W), or (slices, H, W) for a "
            "volume."
        )
    shape = labels.shape if image is None else np.shape(image)
    if shape not in (labels.shape, (*labels.shape, 3)):
        raise ValueError(
            f"image has shape {shape}, but the mask or label map has {labels.shape}: both must "
            "have the same height and width."
        )
    return None if spacing is None else make_spacing(spacing, labels.ndim)


def _describe_spacing(spacing: Spacing | None, dimensions: int) -> Row:
    lengths = [math.nan] * dimensions if spacing is None else spacing.lengths.tolist()
    row: Row = {"pixel_width_mm": lengths[-1], "pixel_height_mm": lengths[-2]}
    if dimensions == 3:
        row["slice_distance_mm"] = lengths[0]
    return row | {"pixel_size_from": None if spacing is None else spacing.source}


def _measure_flat(region: Any, spacing: Spacing | None, total: int) -> Row:
    """Measure a region of an image.

    Args:
      region: ``skimage`` region with pixels as the unit of length.
      spacing: millimetres between rows and columns, or None.
      total: number of pixels of the image.
    """
    image, (rows, columns) = region.image, region.slice
    count, (y, x) = int(region.num_pixels), _find_centroid(image)
    row: Row = {
        "area_px": count,
        "area_fraction": count / total,
        "centroid_x_px": columns.start + x,
        "centroid_y_px": rows.start + y,
        "bbox_x_px": columns.start,
        "bbox_y_px": rows.start,
        "bbox_width_px": columns.stop - columns.start,
        "bbox_height_px": rows.stop - rows.start,
    }
    hull = find_hull(image)
    ellipse = _read_ellipse(region)
    row |= _measure_lengths(image, hull, ellipse, 1.0, 1.0, "px")
    if spacing is not None:
        height, width = spacing.lengths.tolist()
        if height == width:
            ellipse = _Ellipse(ellipse.major * width, ellipse.minor * width, ellipse.eccentricity)
        else:
            (oblong,) = regionprops(image.view(np.uint8), spacing=(height, width))
            ellipse = _read_ellipse(oblong)
        row |= _measure_lengths(image, hull, ellipse, height, width, "mm")
        row["area_mm2"] = count * spacing.pixel
    row["eccentricity"] = ellipse.eccentricity
    return {name: row.get(name) for name in FLAT if name not in _GEOMETRY}


class _Ellipse(NamedTuple):
    """The ellipse with the second moments of a region."""

    major: float
    minor: float
    eccentricity: float


def _read_ellipse(region: Any) -> _Ellipse:
    major, minor = float(region.axis_major_length), float(region.axis_minor_length)
    return _Ellipse(major, minor, float(region.eccentricity))


def _measure_lengths(
    image: np.ndarray, hull: np.ndarray, ellipse: _Ellipse, height: float, width: float, unit: str
) -> Row:
    """Measure the lengths of a region in one unit.

    Args:
      image: the region, (H, W) bool.
      hull: corners of its convex hull in pixels, (N, 2).
      ellipse: its ellipse in this unit.
      height: height of a pixel in this unit.
      width: width of a pixel in this unit.
      unit: ending of the names.
    """
    largest, smallest = compute_diameters(hull * (height, width))
    return {
        f"perimeter_{unit}": compute_perimeter(image, height, width),
        f"feret_max_{unit}": largest,
        f"feret_min_{unit}": smallest,
        f"major_axis_{unit}": ellipse.major,
        f"minor_axis_{unit}": ellipse.minor,
    }


def _measure_solid(region: Any, spacing: Spacing | None, total: int) -> Row:
    """Measure a region of a volume; arguments as for :func:`_measure_flat`."""
    image, (slices, rows, columns) = region.image, region.slice
    count = int(np.count_nonzero(image))
    cubic = math.nan if spacing is None else count * spacing.pixel
    largest = math.nan
    if math.isfinite(cubic) and spacing is not None:
        largest, _ = compute_diameters(find_hull(image) @ spacing.axes)
    z, y, x = _find_centroid(image)
    return {
        "volume_voxels": count,
        "volume_fraction": count / total,
        "volume_mm3": cubic,
        "volume_ml": cubic / 1000,
        "feret_max_mm": largest,
        "centroid_x_px": columns.start + x,
        "centroid_y_px": rows.start + y,
        "centroid_slice": slices.start + z,
        "bbox_x_px": columns.start,
        "bbox_y_px": rows.start,
        "bbox_slice": slices.start,
        "bbox_width_px": columns.stop - columns.start,
        "bbox_height_px": rows.stop - rows.start,
        "bbox_slices": slices.stop - slices.start,
    }


def _find_centroid(image: np.ndarray) -> list[float]:
    """Return the mean index along each axis.

    ``region.centroid`` lists the coordinates of all pixels, 16 bytes for each.
    """
    found = []
    for axis in range(image.ndim):
        others = tuple(other for other in range(image.ndim) if other != axis)
        counts = np.count_nonzero(image, axis=others)
        found.append(float(np.average(np.arange(len(counts)), weights=counts)))
    return found


def _measure_values(values: np.ndarray, quantity: str) -> Row:
    """Return mean and standard deviation of (N,) values or (N, 3) colours."""
    row: Row = {}
    names = [quantity] if values.ndim == 1 else ["red", "green", "blue"]
    for name, channel in zip(names, values.reshape(len(values), -1).T, strict=True):
        if channel.dtype == np.uint8:  # exact, and without a float64 copy of a large picture
            counts = np.bincount(channel, minlength=256)
            mean = np.average(np.arange(256), weights=counts)
            variance = np.average((np.arange(256) - mean) ** 2, weights=counts)
        else:
            mean = np.mean(channel, dtype=np.float64)
            variance = np.var(channel, dtype=np.float64)
        row[f"mean_{name}"], row[f"sd_{name}"] = float(mean), math.sqrt(variance)
    return row


def _describe_nothing(
    mask: np.ndarray, image: np.ndarray | None, spacing: Spacing | None, quantity: str
) -> Row:
    """Return the row of an empty mask: an area of 0, and everything else undefined."""
    row: Row = {"label": 0, **dict.fromkeys(FLAT if mask.ndim == 2 else SOLID)}
    if image is not None:
        channels = ["red", "green", "blue"] if image.ndim > mask.ndim else [quantity]
        row |= {f"{what}_{channel}": None for channel in channels for what in ("mean", "sd")}
    row |= _describe_spacing(spacing, mask.ndim)
    known = spacing is not None and math.isfinite(spacing.pixel)
    zeros = {"area_px", "area_fraction", "volume_voxels", "volume_fraction"}
    zeros |= {"area_mm2", "volume_mm3", "volume_ml"} if known else set()
    row |= dict.fromkeys(zeros & row.keys(), 0)
    return {name: _clear(value) for name, value in row.items()}


def _clear(value: float | int | str | None) -> float | int | str | None:
    """Replace NaN, which stands for an unknown length, by None."""
    return None if isinstance(value, float) and math.isnan(value) else value
