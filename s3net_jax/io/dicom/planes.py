"""Describe the slices of a volume to highdicom as single-frame source images.

highdicom accepts only one multi-frame file, takes its frames in storage order, and requires pixel
spacing and orientation to be shared by all frames. The slices of a volume are sorted by position,
without those at duplicate positions, and may come from several files. Each slice is therefore
presented to highdicom as a separate image with its own position; afterwards the references are
changed to the actual files and frames.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from s3net_jax.errors import InputError
from s3net_jax.io.dicom.geometry import find_functional
from s3net_jax.io.volume import Plane, Volume

__all__ = ["describe_as_images", "describe_frame", "refer_to_sources"]

_CT = "1.2.840.10008.5.1.4.1.1.2"  # a single-frame class with a frame of reference
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # a single-frame class without one
_STAND_IN = "2.25."  # prefix of placeholder UIDs, followed by the slice number from 1
# Largest angle in radians between slices that count as parallel: it moves the end of a 300 mm
# slice by 0.3 mm, less than a pixel.
_TURNED = 1e-3
_GEOMETRY = (
    *("PixelData", "FloatPixelData", "DoubleFloatPixelData", "NumberOfFrames"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *("ImagePositionPatient", "ImageOrientationPatient", "ImageOrientationSlide"),
    *("ImageCenterPointCoordinatesSequence", "TotalPixelMatrixRows", "TotalPixelMatrixColumns"),
    *("SpacingBetweenSlices", "PixelSpacing", "SliceThickness"),
)


def describe_as_images(volume: Volume, source: Any) -> list[Any]:
    """Describe every slice of ``volume`` as a single-frame image.

    Args:
      volume: volume read from DICOM.
      source: data set with the patient and study of the series.

    Returns:
      One data set per slice, without pixels.

    Raises:
      InputError: the slices have no valid geometry in the patient.
    """
    from pydicom import Dataset
    from pydicom.uid import generate_uid

    is_placed = _check_placed(volume)
    # Anonymised files may lack a frame of reference; the segments still refer to their images.
    frame = source.get("FrameOfReferenceUID") or generate_uid()
    axes, spacing = volume.planes[0].axes, volume.planes[0].spacing
    distance = None if len(volume.planes) < 2 else _measure_distance(volume)
    images = []
    for n, (plane, data) in enumerate(zip(volume.planes, volume.origin, strict=True)):
        # highdicom reads patient and study only from the first image, and from the others only
        # identity and geometry.
        image = _strip_geometry(source) if n == 0 else Dataset()
        image.Rows, image.Columns = volume.shape[1], volume.shape[0]
        image.SOPClassUID = _CT if is_placed else _SECONDARY_CAPTURE
        image.SOPInstanceUID = f"{_STAND_IN}{n + 1}"
        image.StudyInstanceUID = source.StudyInstanceUID
        image.SeriesInstanceUID = source.SeriesInstanceUID
        if spacing is not None:
            image.PixelSpacing = _format_decimals(spacing)
            image.SliceThickness = _find_thickness(data, plane, distance)
        if is_placed:
            assert axes is not None
            image.FrameOfReferenceUID = frame
            image.ImagePositionPatient = _format_decimals(plane.position)
            image.ImageOrientationPatient = _format_decimals(np.ravel(axes))
        elif "FrameOfReferenceUID" in image:
            del image.FrameOfReferenceUID
        images.append(image)
    return images


def refer_to_sources(segmentation: Any, volume: Volume) -> None:
    """Replace the placeholder references of ``segmentation`` by the source files and frames.

    ``segmentation`` was made from the images of :func:`describe_as_images`.
    """
    items = {  # by id, because the segments of one slice share an item
        id(item): item
        for frame in segmentation.PerFrameFunctionalGroupsSequence
        for derivation in frame.get("DerivationImageSequence") or []
        for item in derivation.SourceImageSequence
    }
    for item in items.values():
        n = int(item.ReferencedSOPInstanceUID[len(_STAND_IN) :]) - 1
        data = volume.origin[n]
        item.ReferencedSOPClassUID = data.SOPClassUID
        item.ReferencedSOPInstanceUID = data.SOPInstanceUID
        if "NumberOfFrames" in data:
            item.ReferencedFrameNumber = volume.planes[n].index + 1
    _list_sources(segmentation, volume)
    if len(volume.planes) == 1:  # highdicom writes a meaningless 1 mm for a single slice
        shared = segmentation.SharedFunctionalGroupsSequence[0]
        for measures in shared.get("PixelMeasuresSequence") or []:
            if "SpacingBetweenSlices" in measures:
                del measures.SpacingBetweenSlices


def describe_frame(segmentation: Any, volume: Volume) -> list[str]:
    """Return a note if ``segmentation`` has a frame of reference and its source has none."""
    if "FrameOfReferenceUID" not in segmentation or volume.origin[0].get("FrameOfReferenceUID"):
        return []
    return [
        f"{volume.name} has no frame of reference; its DICOM SEG has a new one, so viewers must "
        "match it by the images that it refers to."
    ]


def _list_sources(segmentation: Any, volume: Volume) -> None:
    from pydicom import Dataset

    whole: list[Any] = []
    series: dict[str, list[Any]] = {}
    for data in {id(data): data for data in volume.origin}.values():
        item = Dataset()
        item.ReferencedSOPClassUID = data.SOPClassUID
        item.ReferencedSOPInstanceUID = data.SOPInstanceUID
        whole.append(item)
        series.setdefault(data.SeriesInstanceUID, []).append(item)
    segmentation.SourceImageSequence = whole
    references = []
    for identifier, items in series.items():
        reference = Dataset()
        reference.SeriesInstanceUID = identifier
        reference.ReferencedInstanceSequence = items
        references.append(reference)
    segmentation.ReferencedSeriesSequence = references


def _check_placed(volume: Volume) -> bool:
    """Return whether slices have positions; False only for a single slice without one.

    Raises:
      InputError: geometry is missing, or the slices are not parallel in one frame of reference.
    """
    planes = volume.planes
    lacking = []
    if any(plane.position is None for plane in planes):
        lacking.append("image positions")
    if any(plane.axes is None for plane in planes):
        lacking.append("image orientations")
    if any(plane.spacing is None for plane in planes):
        lacking.append("pixel spacing")
    if not lacking:
        _check_parallel(volume)
        return True
    if len(planes) == 1 and planes[0].position is None:
        return False  # viewers overlay a single picture on its source without a position
    raise InputError(
        f"No DICOM SEG of {volume.name} is written because its files lack "
        f"{' and '.join(lacking)}: viewers could not place the segments."
    )


def _check_parallel(volume: Volume) -> None:
    first = volume.planes[0].axes
    frames = {str(data.get("FrameOfReferenceUID")) for data in volume.origin}
    if len(frames) > 1:
        raise InputError(
            f"No DICOM SEG of {volume.name} is written because its images belong to {len(frames)} "
            "frames of reference: segment one at a time."
        )
    for plane in volume.planes:
        # For unit vectors, a small distance equals the angle between them.
        if np.linalg.norm(plane.axes - first, axis=1).max() > _TURNED:  # pyright: ignore[reportOptionalOperand]
            raise InputError(
                f"No DICOM SEG of {volume.name} is written because its images differ in "
                "orientation: segment one orientation at a time."
            )


def _measure_distance(volume: Volume) -> float:
    assert volume.affine is not None
    return float(np.linalg.norm(volume.affine[:3, 2]))


def _find_thickness(data: Any, plane: Plane, distance: float | None) -> str | None:
    """Return the slice thickness from the file, or else the distance between slices."""
    given = find_functional(data, plane.index, "PixelMeasuresSequence", "SliceThickness")
    given = data.get("SliceThickness") if given is None else given
    try:
        value = float(given)
    except (TypeError, ValueError):
        value = 0.0
    if np.isfinite(value) and value > 0:
        return _format_decimal(value)
    return None if distance is None else _format_decimal(distance)


def _strip_geometry(source: Any) -> Any:
    from pydicom import Dataset

    head = Dataset()  # elements are copied too, because the caller changes their values
    for element in source:
        if element.keyword not in _GEOMETRY:
            head.add(copy.copy(element))
    return head


def _format_decimals(values: Any) -> list[str]:
    return [_format_decimal(value) for value in values]


def _format_decimal(value: float) -> str:
    from pydicom.valuerep import format_number_as_ds

    return format_number_as_ds(float(value))  # the standard allows at most 16 characters
