"""DICOM files of every kind, an image or many frames each, for tests of grouping and values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["CT", "ENHANCED_MR", "MR", "new_object", "save_frames", "save_object", "save_slice"]

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"


def new_object(sop_class: str = MR, **elements: Any) -> Any:
    """A data set of one study and series, without pixels.

    Args:
      sop_class: its identifier.
      **elements: by keyword, or ``x00191234_VR`` for a tag with its representation; None leaves
        the element out.
    """
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = UID(sop_class)
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    defaults = {
        "StudyInstanceUID": "1.2.3.1",
        "SeriesInstanceUID": "1.2.3.1.7",
        "FrameOfReferenceUID": "1.2.3.1.9",
        "Modality": "CT" if sop_class == CT else "MR",
        "SeriesNumber": 7,
        "PatientID": "X",
    }
    for name, value in {**defaults, **elements}.items():
        if value is None:
            continue
        if name.startswith("x"):
            tag, kind = name[1:].split("_")
            data.add_new(int(tag, 16), kind, value)
        else:
            setattr(data, name, value)
    return data


def save_object(path: Path, data: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


def _describe_pixels(data: Any, pixels: np.ndarray) -> None:
    frames, rows, columns = pixels.shape
    data.Rows, data.Columns = rows, columns
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    bits = 8 * pixels.dtype.itemsize
    for name, value in {"BitsAllocated": bits, "BitsStored": bits, "HighBit": bits - 1}.items():
        if name not in data:
            setattr(data, name, value)
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    if frames > 1:
        data.NumberOfFrames = frames
    data.PixelData = np.ascontiguousarray(pixels).tobytes()


def save_slice(
    path: Path, pixels: np.ndarray | None = None, z: float = 0.0, **elements: Any
) -> Path:
    """An axial slice at height ``z``; ``elements`` as in :func:`new_object`."""
    defaults = {
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "ImagePositionPatient": [-8, -8, z],
        "PixelSpacing": [1, 1],
        "SliceThickness": 2,
        "InstanceNumber": 1,
    }
    data = new_object(**{**defaults, **elements})
    if pixels is None:
        pixels = np.arange(256, dtype=np.uint16).reshape(16, 16) + np.uint16(10 * z)
    _describe_pixels(data, pixels[None] if pixels.ndim == 2 else pixels)
    return save_object(path, data)


Groups = Mapping[str, Mapping[str, Any]]


def save_frames(
    path: Path,
    each: Sequence[Groups],
    pixels: np.ndarray | None = None,
    shared: Groups | None = None,
    **elements: Any,
) -> Path:
    """An enhanced multi-frame MR image.

    Args:
      path: of the file.
      each: of each frame its functional groups, name → elements.
      pixels: (frames, rows, columns).
      shared: functional groups of all frames.
      **elements: as in :func:`new_object`.
    """
    data = new_object(**{"sop_class": ENHANCED_MR, "InstanceNumber": 1, **elements})
    if pixels is None:
        pixels = np.arange(len(each) * 256, dtype=np.uint16).reshape(-1, 16, 16)
    data.PerFrameFunctionalGroupsSequence = [_make_groups(frame) for frame in each]
    defaults = {
        "PlaneOrientationSequence": {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]},
        "PixelMeasuresSequence": {"PixelSpacing": [1, 1], "SliceThickness": 2},
    }
    data.SharedFunctionalGroupsSequence = [_make_groups({**defaults, **(shared or {})})]
    _describe_pixels(data, pixels)
    return save_object(path, data)


def _make_groups(groups: Groups) -> Any:
    from pydicom.dataset import Dataset

    found = Dataset()
    for name, elements in groups.items():
        item = Dataset()
        for tag, value in elements.items():
            setattr(item, tag, value)
        setattr(found, name, [item])
    return found
