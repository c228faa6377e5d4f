"""Names of the files that a run writes, and types for such names in its records."""

from __future__ import annotations

import os
import re
from typing import Annotated

from s3net_jax.conform import Rule

__all__ = ["RESULT_KINDS", "Digest", "ResultName", "Stem", "is_result_name", "split_result_name"]

RESULT_KINDS = (
    *("labels", "mask", "overlay", "agreement", "clusters", "seg", "history", "steps"),
    *("instances", "measures", "outlines", "rois"),
)
"""Kinds of results; a result is a file ``STEM.KIND.SUFFIX``."""

_RESULT = re.compile(
    rf"(.+)\.({'|'.join(RESULT_KINDS)})\.(png|nii\.gz|tif|dcm|json|geojson|zip)", re.DOTALL
)
_LONGEST = 255  # largest number of bytes in a file name, the limit of common file systems


def _is_plain(name: str) -> bool:
    """Return whether ``name`` is a file name that cannot lead out of the folder it is joined to."""
    separators = {"/", os.sep, os.altsep or "/", "\0"}
    if not name or name in (".", "..") or any(sign in name for sign in separators):
        return False
    if os.name == "nt" and ":" in name:
        return False
    try:
        return len(os.fsencode(name)) <= _LONGEST
    except UnicodeEncodeError:  # half of a surrogate pair, which no file name contains
        return False


def is_result_name(name: str) -> bool:
    """Return whether ``name`` is the file name of a result, ``STEM.KIND.SUFFIX``."""
    return bool(_RESULT.fullmatch(name)) and _is_plain(name)


def split_result_name(name: str) -> tuple[str, str] | None:
    """Split ``STEM.KIND.SUFFIX`` into stem and kind; None if ``name`` has another form."""
    found = _RESULT.fullmatch(name)
    return None if found is None else (found[1], found[2])


Digest = Annotated[
    str, Rule("a SHA-256 (64 hexadecimal digits)", re.compile("[0-9a-f]{64}").fullmatch)
]
Stem = Annotated[str, Rule("a file name without folders", _is_plain)]
ResultName = Annotated[str, Rule("the file name of a result, without folders", is_result_name)]
