"""Distinguish DICOM images from the objects that accompany images."""

from __future__ import annotations

from typing import Any

__all__ = ["PIXELS", "name_bystander"]

PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")

_ROOT = "1.2.840.10008."
_STORAGE = _ROOT + "5.1.4.1.1."

# Prefixes of SOP class UIDs (PS3.4 table B.5-1) of objects that are not images; the longest match
# decides. RT doses and segmentations contain pixels, but these are values computed for other
# images. Empty names are exceptions, which are images.
_CLASSES = (
    (_ROOT + "1.3.10", "directory"),
    (_STORAGE + "4.2", "MR spectroscopy"),
    (_STORAGE + "8", "overlay"),
    (_STORAGE + "9", "waveform"),
    (_STORAGE + "10", "lookup table"),
    (_STORAGE + "11", "presentation state"),
    (_STORAGE + "66.1", "registration"),
    (_STORAGE + "66.2", "set of fiducials"),
    (_STORAGE + "66.3", "registration"),
    (_STORAGE + "66.4", "segmentation"),
    (_STORAGE + "66.5", "surface segmentation"),
    (_STORAGE + "66.6", "tractography"),
    (_STORAGE + "66.7", "segmentation"),
    (_STORAGE + "66.8", "height map segmentation"),
    (_STORAGE + "66", "raw data object"),
    (_STORAGE + "67", "real world value mapping"),
    (_STORAGE + "68", "surface scan"),
    (_STORAGE + "77.1.5.3", "stereometric relationship"),
    (_STORAGE + "77.1.5.8", "OCT analysis"),
    (_STORAGE + "78", "eye measurement"),
    (_STORAGE + "79", "eye measurement"),
    (_STORAGE + "80", "eye measurement"),
    (_STORAGE + "88.59", "key object selection"),
    (_STORAGE + "88", "structured report"),
    (_STORAGE + "90", "assessment"),
    (_STORAGE + "91", "set of annotations"),
    (_STORAGE + "104", "encapsulated document"),
    (_STORAGE + "129", "PET curve"),
    (_STORAGE + "131", "structured display"),
    (_STORAGE + "200", "protocol"),
    (_STORAGE + "201", "inventory"),
    (_STORAGE + "481.1", ""),  # RT Image
    (_STORAGE + "481.23", ""),  # Enhanced RT Image
    (_STORAGE + "481.24", ""),
    (_STORAGE + "481.2", "RT dose"),
    (_STORAGE + "481.3", "RT structure set"),
    (_STORAGE + "481.5", "RT plan"),
    (_STORAGE + "481.8", "RT plan"),
    (_STORAGE + "481", "radiotherapy record"),
    (_STORAGE + "501.3", "threat report"),
    (_ROOT + "5.1.4.34", "radiotherapy instruction"),
    (_ROOT + "5.1.4.38", "hanging protocol"),
    (_ROOT + "5.1.4.39", "colour palette"),
    (_ROOT + "5.1.4.43", "implant template"),
    (_ROOT + "5.1.4.44", "implant template"),
    (_ROOT + "5.1.4.45", "implant template"),
)

# Modalities (PS3.3 C.7.3.1.1.1) of such objects. They are used only if the SOP class is missing or
# private, because a screenshot of a report is an image.
_MODALITIES = {
    "SR": "structured report",
    "PR": "presentation state",
    "KO": "key object selection",
    "SEG": "segmentation",
    "RTSTRUCT": "RT structure set",
    "RTPLAN": "RT plan",
    "RTDOSE": "RT dose",
    "RTRECORD": "radiotherapy record",
    "REG": "registration",
    "FID": "set of fiducials",
    "DOC": "encapsulated document",
    "M3D": "encapsulated document",
    "PLAN": "plan",
    "RWV": "real world value mapping",
    "ECG": "waveform",
    "EEG": "waveform",
    "EMG": "waveform",
    "EOG": "waveform",
    "EPS": "waveform",
    "HD": "waveform",
    "RESP": "waveform",
    "AU": "waveform",
    "ANN": "set of annotations",
    "ASMT": "assessment",
    "CTPROTOCOL": "protocol",
    "XAPROTOCOL": "protocol",
}


def name_bystander(data: Any) -> str | None:
    """Return the name of a DICOM object that is not an image, such as ``structured report``.

    The SOP class decides; if it is missing or private, the modality, then the presence of
    pixel rows. An image with truncated pixels still counts as an image.

    Args:
      data: data set with its file meta information, read with or without pixels.

    Returns:
      A noun, or None for images, broken images, and data that are not DICOM.
    """
    if "DirectoryRecordSequence" in data:
        return "directory"
    meta = getattr(data, "file_meta", None) or {}
    for name in (_read_text(data, "SOPClassUID"), _read_text(meta, "MediaStorageSOPClassUID")):
        if name.startswith(_ROOT):
            return _look_up(name)
    kind = _MODALITIES.get(_read_text(data, "Modality").upper())
    if kind is not None:
        return kind
    has_class = bool(_read_text(data, "SOPClassUID") or _read_text(meta, "MediaStorageSOPClassUID"))
    if has_class and "Rows" not in data and not any(tag in data for tag in PIXELS):
        return "object without an image"
    return None


def _look_up(uid: str) -> str | None:
    fitting = [(len(start), kind) for start, kind in _CLASSES if f"{uid}.".startswith(f"{start}.")]
    return (max(fitting)[1] or None) if fitting else None


def _read_text(data: Any, tag: str) -> str:
    try:
        return str(data.get(tag) or "").strip()
    except Exception:  # pydicom parses elements on access
        return ""
