"""DICOM files whose every pixel has a known place in the patient: series and multi-frame kinds."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["DIRECTIONS", "SOP", "Scene", "make_group", "save_frames", "save_series"]

SOP = {
    "ct": "1.2.840.10008.5.1.4.1.1.2",
    "enhanced ct": "1.2.840.10008.5.1.4.1.1.2.1",
    "legacy ct": "1.2.840.10008.5.1.4.1.1.2.2",
    "enhanced mr": "1.2.840.10008.5.1.4.1.1.4.1",
    "enhanced pet": "1.2.840.10008.5.1.4.1.1.130",
    "nm": "1.2.840.10008.5.1.4.1.1.20",
    "capture": "1.2.840.10008.5.1.4.1.1.7.2",
    "ultrasound": "1.2.840.10008.5.1.4.1.1.3.1",
    "angiography": "1.2.840.10008.5.1.4.1.1.12.1",
}

_TILT = np.deg2rad(20)
DIRECTIONS: dict[str, list[float]] = {
    "axial": [1, 0, 0, 0, 1, 0],
    "prone": [-1, 0, 0, 0, -1, 0],
    "coronal": [1, 0, 0, 0, 0, -1],
    "sagittal": [0, 1, 0, 0, 0, -1],
    "oblique": [float(np.cos(_TILT)), float(np.sin(_TILT)), 0, 0, 0, -1],
}
"""ImageOrientationPatient: directions along a row and along a column, LPS."""


@dataclass(frozen=True)
class Scene:
    """Frames with a dark ellipsoid, off the middle in every direction, in a bright block.

    Attributes:
      direction: of :data:`DIRECTIONS`, or six numbers.
      places: of each frame along the normal, in millimetres, in the order of the file.
      size: (rows, columns).
      spacing: between rows and between columns, in millimetres.
      step: added to the position for each millimetre along the normal: a shear.
    """

    direction: str | list[float] = "axial"
    places: tuple[float, ...] = (0.0, 2.5, 5.0, 7.5, 10.0, 12.5, 15.0, 17.5)
    size: tuple[int, int] = (36, 40)
    spacing: tuple[float, float] = (0.8, 0.7)
    shear: tuple[float, float, float] = (0.0, 0.0, 0.0)
    corner: tuple[float, float, float] = (-11.0, 7.5, 40.0)
    axes: np.ndarray = field(init=False)
    positions: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        given = self.direction
        numbers = DIRECTIONS[given] if isinstance(given, str) else given
        axes = np.reshape(numbers, (2, 3)).astype(float)
        along = np.cross(axes[0], axes[1]) + np.array(self.shear)
        object.__setattr__(self, "axes", axes)
        positions = np.array(self.corner) + np.outer(self.places, along)
        object.__setattr__(self, "positions", np.round(positions, 6))

    @property
    def truth(self) -> np.ndarray:
        """(frames, rows, columns) bool: the ellipsoid."""
        places = np.array(self.places)
        s = (places - places.min()) / max(np.ptp(places), 1e-9)
        s, r, c = np.meshgrid(
            s, *(np.arange(side) / (side - 1) for side in self.size), indexing="ij"
        )
        return ((c - 0.56) / 0.25) ** 2 + ((r - 0.44) / 0.25) ** 2 + ((s - 0.36) / 0.45) ** 2 < 1

    @property
    def points(self) -> np.ndarray:
        """(frames, rows, columns, 3) centres of the pixels in LPS millimetres."""
        r, c = np.mgrid[: self.size[0], : self.size[1]]
        plane = np.multiply.outer(c * self.spacing[1], self.axes[0])
        plane = plane + np.multiply.outer(r * self.spacing[0], self.axes[1])
        return self.positions[:, None, None] + plane

    @property
    def stored(self) -> np.ndarray:
        """(frames, rows, columns) uint16 pixels, 1024 above Hounsfield units."""
        random = np.random.default_rng(0)
        values = np.where(self.truth, -800, 60) + random.integers(-20, 20, self.truth.shape)
        return (values + 1024).astype(np.uint16)


def make_group(**elements: Any) -> list[Any]:
    """A sequence of one item."""
    from pydicom import Dataset

    item = Dataset()
    for name, value in elements.items():
        setattr(item, name, value)
    return [item]


def _build_common(kind: str, modality: str, scene: Scene, pixels: np.ndarray, **same: Any) -> Any:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = UID(SOP[kind])
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        setattr(data, name, same.get(name) or generate_uid())
    data.Modality, data.SeriesNumber, data.PatientID = modality, 1, "X"
    data.PatientName = data.PatientBirthDate = data.PatientSex = data.AccessionNumber = ""
    data.StudyID = data.StudyDate = data.StudyTime = data.ReferringPhysicianName = ""
    data.PositionReferenceIndicator = ""
    data.Rows, data.Columns = scene.size
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, 0
    data.PixelData = pixels.tobytes()
    return data


def _format_numbers(values: Any) -> list[str]:
    from pydicom.valuerep import format_number_as_ds

    return [format_number_as_ds(float(value)) for value in np.ravel(values)]


def save_series(folder: Path, scene: Scene, **elements: Any) -> list[Path]:
    """A CT file for each frame of ``scene``; names in the order of its places."""
    from pydicom.uid import generate_uid

    folder.mkdir(parents=True, exist_ok=True)
    names = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
    same = {name: generate_uid() for name in names}
    paths = []
    for n, pixels in enumerate(scene.stored):
        data = _build_common("ct", "CT", scene, pixels, **same)
        data.InstanceNumber = n + 1
        data.RescaleSlope, data.RescaleIntercept = 1, -1024
        data.PixelSpacing, data.SliceThickness = _format_numbers(scene.spacing), "2.5"
        data.ImageOrientationPatient = _format_numbers(scene.axes)
        data.ImagePositionPatient = _format_numbers(scene.positions[n])
        for name, value in elements.items():
            setattr(data, name, value)
        path = folder / f"IM{n + 1:03d}.dcm"
        data.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def save_frames(
    path: Path,
    scene: Scene,
    kind: str = "enhanced ct",
    modality: str = "CT",
    per_frame: bool = False,
    grouped: bool = True,
    **elements: Any,
) -> Any:
    """A multi-frame file.

    Args:
      path: of the file.
      scene: its frames, in order.
      kind: of :data:`SOP`.
      modality: of the file.
      per_frame: whether each frame repeats measures and directions.
      grouped: whether frames have functional groups; if not, the file has no geometry but what
        ``elements`` give.
      **elements: set in the file.

    Returns:
      The data set.
    """
    from pydicom import Dataset

    path.parent.mkdir(parents=True, exist_ok=True)
    same = {k: v for k, v in elements.items() if k.endswith("UID")}
    data = _build_common(kind, modality, scene, scene.stored, **same)
    data.NumberOfFrames, data.InstanceNumber = len(scene.places), 1
    data.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    if grouped:
        measures = make_group(PixelSpacing=_format_numbers(scene.spacing), SliceThickness="2.5")
        direction = make_group(ImageOrientationPatient=_format_numbers(scene.axes))
        rescale = make_group(RescaleSlope=1, RescaleIntercept=-1024, RescaleType="HU")
        shared, frames = Dataset(), []
        shared.PixelValueTransformationSequence = rescale
        if not per_frame:
            shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = measures, direction
        for position in scene.positions:
            frame = Dataset()
            frame.PlanePositionSequence = make_group(ImagePositionPatient=_format_numbers(position))
            if per_frame:
                frame.PixelMeasuresSequence, frame.PlaneOrientationSequence = measures, direction
            frames.append(frame)
        data.SharedFunctionalGroupsSequence = [shared]
        data.PerFrameFunctionalGroupsSequence = frames
    for name, value in elements.items():
        setattr(data, name, value)
    data.save_as(path, enforce_file_format=True)
    return data
