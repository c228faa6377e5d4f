"""Traits that separate images at the same position: echo, b-value, phase, reconstruction, time."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from s3net_jax.io.dicom.geometry import Frame, find_functional

__all__ = ["TRAITS", "Trait", "Value", "read_traits"]

Value = float | str | tuple[Any, ...]


@dataclass(frozen=True)
class Trait:
    """A property in which images at the same position may differ.

    Attributes:
      name: noun used in notes and in file names of results.
      read: function that returns the value of a frame, or None if the file has none.
      absolute, relative: tolerances; numbers or vectors closer than either are equal.
      unit: unit appended to numbers in labels.
      contrast: whether frames that differ in it never form one volume, even at different
        positions.
      ordered: whether frames at the same position may be numbered in its order, such as phases of
        a heartbeat.
      counted: whether labels number the values (direction 1, 2, ...) instead of showing them.
    """

    name: str
    read: Callable[[Frame], Any]
    absolute: float = 0.0
    relative: float = 0.0
    unit: str = ""
    contrast: bool = False
    ordered: bool = False
    counted: bool = False


def read_traits(frames: list[Frame]) -> list[dict[str, Value]]:
    """Read all traits of every frame of one file, by name.

    ``slice`` is included for files that number their slices without giving positions.
    """
    first = frames[0].data
    if len(frames) > 1 and not any(tag in first for tag in _DIFFERENT):
        shared = _read(frames[0])  # frames of a film differ only in their number
        return [{**shared, "pass": float(frame.number)} for frame in frames]
    return [_read(frame) for frame in frames]


def _read(frame: Frame) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for trait in (*TRAITS, _SLICE):
        try:
            value = _simplify(trait.read(frame))
        except Exception:  # pydicom parses elements on access; a broken one is ignored
            value = None
        if value is not None:
            found[trait.name] = value
    return found


def _simplify(value: Any) -> Value | None:
    """Return a finite float, a string or a tuple of these; None for empty values."""
    if value is None or isinstance(value, (bytes, bytearray)):
        return None
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, (int, float)) or hasattr(value, "__float__"):
        number = float(value)
        return number if math.isfinite(number) else None
    parts = tuple(_simplify(item) for item in value)
    parts = tuple("" if part is None else part for part in parts)
    if not any(part != "" for part in parts):
        return None
    return parts[0] if len(parts) == 1 else parts


def _make_reader(tag: str, *groups: str) -> Callable[[Frame], Any]:
    """Return a function that reads an element from a frame's functional groups or data set."""

    def read(frame: Frame) -> Any:
        for group in groups:
            found = find_functional(frame.data, frame.index, group, tag)
            if found is not None:
                return found
        return frame.data.get(tag)

    return read


def _make_number_reader(tag: str, *groups: str) -> Callable[[Frame], float | None]:
    """Return a reader like :func:`_make_reader` that converts the first value to a number."""
    element = _make_reader(tag, *groups)

    def read(frame: Frame) -> float | None:
        value = element(frame)
        if value is None or value == "":
            return None
        return float(value if isinstance(value, (str, int, float)) else np.ravel(value)[0])

    return read


def _make_vector_reader(tag: str) -> Callable[[Frame], Any]:
    """Return a reader of a vector with one entry per frame (nuclear medicine, PS3.3 C.8.4.8)."""

    def read(frame: Frame) -> Any:
        values = frame.data.get(tag)
        if values is None:
            return None
        values = np.atleast_1d(np.asarray(values))
        return float(values[frame.index]) if len(values) > frame.index else None

    return read


def _read_b_value(frame: Frame) -> Any:
    """Read the diffusion weighting in s/mm² from the standard element or a vendor's private one."""
    found = _make_number_reader("DiffusionBValue", "MRDiffusionSequence")(frame)
    if found is not None:
        return found
    for group, offset, creator in (
        (0x0019, 0x0C, "SIEMENS MR HEADER"),
        (0x2001, 0x03, "Philips Imaging DD 001"),
        (0x0043, 0x39, "GEMS_PARM_01"),
        (0x0065, 0x09, "Image Private Header"),
    ):
        value = _read_private(frame, group, offset, creator)
        if value is not None:
            number = float(np.ravel(value)[0])
            # GE adds 10⁹ to the b-value in sequences with several b-values.
            return number % 100_000 if number >= 1e8 else number
    return None


def _read_private(frame: Frame, group: int, offset: int, creator: str) -> Any:
    try:
        value = frame.data.get_private_item(group, offset, creator).value
    except (KeyError, ValueError):
        return None
    if isinstance(value, bytes):  # implicit VR, and unknown to pydicom's private dictionary
        value = value.decode("ascii", "ignore").strip(" \0").split("\\")[0]
    return value if value != "" else None


def _read_direction(frame: Frame) -> Any:
    sequence = "DiffusionGradientDirectionSequence"
    item = find_functional(frame.data, frame.index, "MRDiffusionSequence", sequence)
    if item:
        return item[0].get("DiffusionGradientOrientation")
    found = frame.data.get("DiffusionGradientOrientation")
    return _read_private(frame, 0x0019, 0x0E, "SIEMENS MR HEADER") if found is None else found


def _read_image_type(frame: Frame) -> Any:
    """Read the image type, including the complex component if it is stored elsewhere."""
    for group in ("MRImageFrameTypeSequence", "CTImageFrameTypeSequence", "PETFrameTypeSequence"):
        found = find_functional(frame.data, frame.index, group, "FrameType")
        if found is not None:
            part = find_functional(frame.data, frame.index, group, "ComplexImageComponent")
            return (*_parse_texts(found), str(part or ""))
    part = frame.data.get("ComplexImageComponent")
    if part is None:
        part = _read_private(frame, 0x0043, 0x2F, "GEMS_PARM_01")
    texts = _parse_texts(frame.data.get("ImageType"))
    return (*texts, str(part)) if part is not None else texts


def _parse_texts(value: Any) -> tuple[str, ...]:
    if value is None or value == "":
        return ()
    return (value.strip(),) if isinstance(value, str) else tuple(str(v).strip() for v in value)


def _read_position_in_plane(frame: Frame) -> Any:
    """Read the position within the plane, which separates stacks side by side (both knees)."""
    if frame.position is None:
        return None
    return tuple(float(frame.position @ axis) for axis in frame.axes)


def _make_time_reader(*tags: str) -> Callable[[Frame], float | None]:
    """Return a reader of the first date-time or time that is present, in seconds."""

    def read(frame: Frame) -> float | None:
        for tag in tags:
            value = _make_reader(tag, "FrameContentSequence")(frame)
            text = str(value or "").replace(":", "").split("+")[0].split("-")[0].strip()
            if text:
                # The date digits (YYYYMMDD) are no day count, but order times correctly.
                day = 86400.0 * int(text[:8]) if len(text.split(".")[0]) > 8 else 0.0
                clock = text[8:] if day else text
                hours, minutes = int(clock[:2] or 0), int(clock[2:4] or 0)
                return day + 3600.0 * hours + 60.0 * minutes + float(clock[4:] or 0)
        return None

    return read


def _make_dimension_reader(place: int) -> Callable[[Frame], Any]:
    def read(frame: Frame) -> Any:
        index = find_functional(
            frame.data, frame.index, "FrameContentSequence", "DimensionIndexValues"
        )
        index = () if index is None else np.atleast_1d(np.asarray(index))
        return float(index[place]) if len(index) > place else None

    return read


def _read_file(frame: Frame) -> Any:
    return frame.data.get("SOPInstanceUID") if int(frame.data.get("NumberOfFrames") or 1) > 1 else 0


_CARDIAC = "CardiacSynchronizationSequence"
_TIMING = "MRTimingAndRelatedParametersSequence"

# In the order in which they are tried: first what an examination varies on purpose, then what
# distinguishes reconstructions, then time, and last only the order of the images.
TRAITS = (
    Trait("series", lambda frame: frame.data.get("SeriesInstanceUID"), counted=True),
    Trait("stack", _make_reader("StackID", "FrameContentSequence"), contrast=True),
    # 0.5 mm: smaller differences come from rounding or table movement.
    Trait("position", _read_position_in_plane, absolute=0.5, counted=True),
    Trait("echo", _make_reader("EchoNumbers"), contrast=True),
    # Tolerance 0.001: times and angles of a protocol differ by far more; smaller differences come
    # from rounding.
    Trait(
        "echo time",
        lambda frame: (
            _make_number_reader("EffectiveEchoTime", "MREchoSequence")(frame)
            or _make_number_reader("EchoTime")(frame)
        ),
        *(1e-3, 1e-3),
        unit=" ms",
        contrast=True,
    ),
    # Tolerance 2 %: the effective b-value varies by about 1 % with the gradient direction.
    Trait("b-value", _read_b_value, 1.0, 0.02, contrast=True),
    Trait("direction", _read_direction, absolute=1e-2, counted=True),
    Trait("sequence", _make_reader("SequenceName")),
    Trait(
        "inversion time",
        lambda frame: (
            _make_number_reader("InversionTimes", "MRModifierSequence")(frame)
            or _make_number_reader("InversionTime")(frame)
        ),
        *(1e-3, 1e-3),
        unit=" ms",
    ),
    Trait("flip angle", _make_number_reader("FlipAngle", _TIMING), 1e-3, 1e-3, unit="°"),
    Trait(
        "repetition time", _make_number_reader("RepetitionTime", _TIMING), 1e-3, 1e-3, unit=" ms"
    ),
    Trait("image type", _read_image_type),
    Trait("kernel", _make_reader("ConvolutionKernel", "CTReconstructionSequence"), contrast=True),
    Trait("thickness", lambda frame: frame.thickness, 1e-3, 1e-3, unit=" mm"),
    Trait(
        "tube voltage", _make_number_reader("KVP", "CTXRayDetailsSequence"), 1e-3, 1e-3, unit=" kV"
    ),
    Trait("contrast agent", _make_reader("ContrastBolusAgent")),
    Trait("energy window", _make_vector_reader("EnergyWindowVector"), contrast=True),
    Trait("detector", _make_vector_reader("DetectorVector"), contrast=True),
    Trait("phase", _make_vector_reader("PhaseVector"), contrast=True),
    Trait("time slot", _make_vector_reader("TimeSlotVector"), contrast=True),
    Trait("time slice", _make_vector_reader("TimeSliceVector"), contrast=True),
    Trait(
        "time", _make_number_reader("TemporalPositionIndex", "FrameContentSequence"), ordered=True
    ),
    Trait("time point", _make_number_reader("TemporalPositionIdentifier"), ordered=True),
    Trait(
        "cardiac phase",
        _make_number_reader("NominalPercentageOfCardiacPhase", _CARDIAC),
        *(0.1, 0.0),
        unit=" %",
        ordered=True,
    ),
    Trait(
        "trigger delay",
        _make_number_reader("NominalCardiacTriggerDelayTime", _CARDIAC),
        ordered=True,
    ),
    Trait("trigger time", _make_number_reader("TriggerTime"), ordered=True),
    Trait("acquisition", _make_number_reader("AcquisitionNumber"), ordered=True),
    Trait(
        "frame acquisition", _make_number_reader("FrameAcquisitionNumber", "FrameContentSequence")
    ),
    *(Trait(f"dimension {n + 1}", _make_dimension_reader(n)) for n in range(6)),
    Trait("file", _read_file, counted=True),
    Trait("description", _make_reader("SeriesDescription")),
    Trait("comment", _make_reader("ImageComments")),
    Trait(
        "acquisition time",
        _make_time_reader("FrameAcquisitionDateTime", "AcquisitionDateTime", "AcquisitionTime"),
        ordered=True,
        counted=True,
    ),
    Trait("content time", _make_time_reader("ContentTime"), ordered=True, counted=True),
    Trait("pass", lambda frame: float(frame.number), ordered=True, counted=True),
)

_SLICE = Trait("slice", _make_vector_reader("SliceVector"))

# Elements that give frames of one file different properties.
_DIFFERENT = ("PerFrameFunctionalGroupsSequence", "FrameIncrementPointer", "SliceVector")
