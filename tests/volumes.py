"""Volumes that tests need, as arrays and as files of every format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["OBLIQUE", "ball", "save_dicom", "save_nifti"]

OBLIQUE = np.array(
    [
        [-0.1, 1.8, 0.3, -40.0],
        [0.9, 0.2, 0.1, 12.0],
        [0.05, 0.25, -3.0, 77.0],
        [0.0, 0.0, 0.0, 1.0],
    ]
)
"""Axes permuted and flipped, turned, sheared a little, slices 3 mm apart."""


def ball(shape: tuple[int, int, int] = (20, 24, 9), seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A dark ball (−800) in a bright block (60 HU), with noise: int16 values, bool truth."""
    random = np.random.default_rng(seed)
    grid = np.indices(shape)
    middle = np.array(shape).reshape(3, 1, 1, 1) / 2
    truth = (((grid - middle) / middle) ** 2).sum(0) < 0.3
    values = np.where(truth, -800, 60) + random.integers(-20, 20, shape)
    return values.astype(np.int16), truth


def save_nifti(path: Path, values: np.ndarray, affine: np.ndarray = OBLIQUE, **header: Any) -> None:
    """A NIfTI-1 file; ``header``: fields set in the header."""
    import nibabel as nib

    image = nib.Nifti1Image(values, affine)
    image.header.set_xyzt_units("mm", "sec")
    for name, value in header.items():
        image.header[name] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)


def save_dicom(
    folder: Path,
    values: np.ndarray,
    *,
    slope: float = 1.0,
    intercept: float = -1024.0,
    compress: str | None = None,
    series: str | None = None,
    **elements: Any,
) -> list[Path]:
    """A CT series: (columns, rows, slices) values, a file a slice, in a shuffled order of names.

    Args:
      folder: made if need be.
      values: in physical units.
      slope, intercept: of the stored values.
      compress: ``rle`` or ``jpeg2000``.
      series: its identifier; a new one if None.
      **elements: set in every file.
    """
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import (
        CTImageStorage,
        ExplicitVRLittleEndian,
        JPEG2000Lossless,
        RLELossless,
        generate_uid,
    )

    folder.mkdir(parents=True, exist_ok=True)
    series = series or generate_uid()
    study, frame = generate_uid(), generate_uid()
    stored = np.round((values.astype(np.float64) - intercept) / slope).astype(np.uint16)
    count = values.shape[2]
    names = np.random.default_rng(1).permutation(count)
    paths = []
    for n in range(count):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        path = folder / f"IM{names[n]:04d}.dcm"
        data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
        data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        data.StudyInstanceUID, data.SeriesInstanceUID = study, series
        data.FrameOfReferenceUID, data.Modality = frame, "CT"
        data.PatientID, data.PatientName, data.StudyDate = "p", "Test^Ball", "20260101"
        data.SeriesNumber, data.InstanceNumber = 3, int(n + 1)
        data.ImageOrientationPatient = [0.96, 0.28, 0.0, -0.28, 0.96, 0.0]
        data.ImagePositionPatient = [-11.0, 7.5, 40.0 + 2.5 * n]
        data.PixelSpacing, data.SliceThickness = [0.8, 0.7], 2.5
        data.Rows, data.Columns = values.shape[1], values.shape[0]
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit = 16, 16, 15
        data.PixelRepresentation = 0
        data.RescaleSlope, data.RescaleIntercept = str(slope), str(intercept)
        for name, value in elements.items():
            setattr(data, name, value)
        data.PixelData = np.ascontiguousarray(stored[:, :, n].T).tobytes()
        if compress == "rle":
            data.compress(RLELossless, generate_instance_uid=False)
        elif compress == "jpeg2000":
            data.compress(JPEG2000Lossless, generate_instance_uid=False)
        data.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths
