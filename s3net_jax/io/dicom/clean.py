"""Clean administrative elements of source images, to copy them into derived objects."""

from __future__ import annotations

import copy
import re
from datetime import datetime
from io import BytesIO
from typing import Any

import numpy as np

__all__ = ["copy_as_source"]

_MAY_BE_BLANK = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber"),
    *("StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName"),
)

# Groups of elements that describe patient, study and procedure. Elements that define the geometry
# are in other groups, identifiers in _STRICT.
_ADMINISTRATIVE = (0x0008, 0x0010, 0x0012, 0x0032, 0x0038, 0x0040)
_STRICT = (
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "ImageType"),
    "SpecificCharacterSet",
)

# Elements that a derived object copies; the user is notified if one is left out.
_TAKEN_OVER = (*_MAY_BE_BLANK, "StudyDescription")

# Valid values by VR (PS3.5 table 6.2-1), for the VRs in which readers reject others. Text that is
# too long is kept: it can be read, and often contains the identifier that links to other objects.
_FORMS = {
    "AS": r"\d{3}[DWMY]",
    "CS": r"[A-Z0-9_ ]*",
    "DA": r"\d{8}",
    "DT": r"\d{4,14}(\.\d{1,6})?([+-]\d{4})?",
    "TM": r"([01]\d|2[0-3])([0-5]\d(([0-5]\d|60)(\.\d{1,6})?)?)?",
    "UI": r"[0-9.]*",
}
_TEXT = ("LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT")
_UNICODE = "ISO_IR 192"
# Character sets without code extensions, which not every library supports (PS3.3 C.12.1.1.2).
_CHARSETS = (
    *(f"ISO_IR {n}" for n in (13, 100, 101, 109, 110, 126, 127, 138, 144, 148, 166, 192, 203)),
    *("GB18030", "GBK"),
)


def copy_as_source(data: Any) -> tuple[Any, list[str]]:
    """Copy a data set for a derived object, without invalid administrative elements.

    Invalid elements would be rejected although they do not affect the geometry. They are blank in
    the copy if they are required, and left out otherwise. Missing required elements are added as
    blanks.

    Returns:
      The copy, and the names of elements whose values were not copied.
    """
    changed = _copy_elements(data)
    odd: list[str] = []
    for element in data:
        if element.tag.group not in _ADMINISTRATIVE and not element.tag.is_private:
            continue
        if element.keyword in _STRICT:
            continue
        del changed[element.tag]
        sound = _repair_element(element) if element.keyword else None
        if sound is not None:
            changed.add(sound)
        elif element.keyword in _TAKEN_OVER or element.tag.group == 0x0010:
            odd.append(element.keyword or str(element.tag))
    for tag in _MAY_BE_BLANK:
        if tag not in changed:
            setattr(changed, tag, "")
    charset = changed.get("SpecificCharacterSet")
    if charset and str(charset) not in _CHARSETS:  # pydicom has already decoded the texts
        changed.SpecificCharacterSet = _UNICODE
    return changed, odd


def _copy_elements(data: Any) -> Any:
    """Copy a data set and its elements; values are shared."""
    from pydicom import Dataset

    copied = Dataset()
    copied.file_meta = data.file_meta
    for element in data:
        copied.add(copy.copy(element))  # setting an attribute changes the element in place
    return copied


def _repair_element(element: Any) -> Any:
    """Return the element with the VR of the dictionary, or None if its value is invalid."""
    from pydicom import Dataset, dcmwrite
    from pydicom.datadict import dictionary_VR
    from pydicom.dataelem import DataElement

    if element.is_empty:
        return element
    kind = dictionary_VR(element.tag)
    values = [element.value] if element.VM <= 1 else list(element.value)
    if kind != "SQ" and not all(_has_form(kind, value) for value in values):
        return None
    if element.keyword == "PatientSex" and str(element.value).strip() not in ("M", "F", "O"):
        return None
    dataset = Dataset()
    try:
        if kind != element.VR:
            value = list(map(str, values)) if len(values) > 1 else str(values[0])
            element = DataElement(element.tag, kind, element.value if kind == "SQ" else value)
        dataset.add(element)
        dcmwrite(BytesIO(), dataset, implicit_vr=False, little_endian=True)
    except Exception:
        return None
    return element


def _has_form(kind: str, value: Any) -> bool:
    if value is None or isinstance(value, (bytes, bytearray)):
        return value is None
    text = str(value).strip(" \0")
    if not text:
        return True
    if kind in ("DS", "IS"):
        try:
            return bool(np.isfinite(float(text)))
        except ValueError:
            return False
    if kind in _TEXT:
        return "\0" not in text
    form = _FORMS.get(kind)
    if form is not None and re.fullmatch(form, text) is None:
        return False
    return kind != "DA" or _is_day(text)


def _is_day(text: str) -> bool:
    try:
        datetime.strptime(text, "%Y%m%d")
    except ValueError:
        return False
    return True
