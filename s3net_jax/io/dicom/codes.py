"""Codes for what a segment of DICOM SEG shows: named ones, and any other one."""

from __future__ import annotations

from dataclasses import dataclass

from s3net_jax.errors import ConfigError, suggest_nearest

__all__ = ["CODES", "Code", "check_segment_name", "parse_code"]

_LONGEST_NAME = 64  # characters of a segment label and of a code meaning (DICOM PS3.5, LO)
_LONGEST_CODE = 16  # characters of a code value and of a scheme (SH)


@dataclass(frozen=True)
class Code:
    """A coded concept: coding scheme, value and meaning."""

    scheme: str
    value: str
    meaning: str


ANATOMY = Code("SCT", "91723000", "Anatomical Structure")
"""Category of organs and tissues, and of codes that are not in :data:`CODES`."""

MORPHOLOGY = Code("SCT", "49755003", "Morphologically Abnormal Structure")
"""Category of lesions and other findings."""

_ANATOMY = {
    "aorta": ("15825003", "Aorta"),
    "bone": ("272673000", "Bone"),
    "brain": ("12738006", "Brain"),
    "breast": ("76752008", "Breast"),
    "colon": ("71854001", "Colon"),
    "esophagus": ("32849002", "Esophagus"),
    "eye": ("81745001", "Eye"),
    "gallbladder": ("28231008", "Gallbladder"),
    "heart": ("80891009", "Heart"),
    "kidney": ("64033007", "Kidney"),
    "liver": ("10200004", "Liver"),
    "lung": ("39607008", "Lung"),
    "muscle": ("71616004", "Muscle"),
    "pancreas": ("15776009", "Pancreas"),
    "prostate": ("41216001", "Prostate"),
    "skin": ("39937001", "Skin"),
    "spleen": ("78961009", "Spleen"),
    "stomach": ("69695003", "Stomach"),
    "trachea": ("44567001", "Trachea"),
    "uterus": ("35039007", "Uterus"),
}
_MORPHOLOGY = {
    "cyst": ("367643001", "Cyst"),
    "edema": ("79654002", "Edema"),
    "hemorrhage": ("50960005", "Hemorrhage"),
    "lesion": ("52988006", "Lesion"),
    "mass": ("4147007", "Mass"),
    "neoplasm": ("108369006", "Neoplasm"),
    "nodule": ("27925004", "Nodule"),
}

CODES: dict[str, tuple[Code, Code]] = {
    **{name: (ANATOMY, Code("SCT", *code)) for name, code in _ANATOMY.items()},
    **{name: (MORPHOLOGY, Code("SCT", *code)) for name, code in _MORPHOLOGY.items()},
}
"""Name → category and type, in SNOMED CT. The meanings are those of DICOM's context groups."""


def parse_code(text: str) -> tuple[Code, Code]:
    """Parse a name in :data:`CODES`, or ``SCHEME:VALUE:MEANING``.

    Returns:
      The category and the type of the segment. A code that is not in :data:`CODES` gets the
      category :data:`ANATOMY`.

    Raises:
      ConfigError: the name is unknown, or a part is empty, too long or not printable ASCII.
    """
    known = CODES.get(text.strip().lower())
    if known is not None:
        return known
    if ":" not in text:
        raise ConfigError(
            f"There is no code {text!r}.{suggest_nearest(text.lower(), [*CODES])} Any other code "
            "is written as SCHEME:VALUE:MEANING, such as SCT:39607008:Lung."
        )
    parts = [part.strip() for part in text.split(":", 2)]
    if len(parts) < 3 or not all(parts) or not all(map(_is_text, parts)):
        raise ConfigError(
            f"The code can't be {text!r}: write SCHEME:VALUE:MEANING in printable ASCII, such as "
            "SCT:39607008:Lung."
        )
    scheme, value, meaning = parts
    if max(len(scheme), len(value)) > _LONGEST_CODE or len(meaning) > _LONGEST_NAME:
        raise ConfigError(
            f"The code can't be {text!r}: scheme and value have at most {_LONGEST_CODE} characters "
            f"in DICOM, and the meaning at most {_LONGEST_NAME}."
        )
    for category, one in CODES.values():
        if (one.scheme, one.value) == (scheme, value):
            return category, Code(scheme, value, meaning)
    return ANATOMY, Code(scheme, value, meaning)


def check_segment_name(name: str) -> str:
    """Return the name of a segment without spaces around it.

    Raises:
      ConfigError: the name is empty, longer than 64 characters, or not printable ASCII without
        backslashes, which separate values in DICOM.
    """
    name = name.strip()
    if not name or len(name) > _LONGEST_NAME or not _is_text(name):
        raise ConfigError(
            f"The name of the segment can't be {name!r}: give 1 to {_LONGEST_NAME} printable ASCII "
            "characters without backslashes."
        )
    return name


def _is_text(text: str) -> bool:
    """Return whether the text needs no character set: that of a series may lack its characters."""
    return text.isascii() and text.isprintable() and "\\" not in text
