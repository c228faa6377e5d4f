"""Typed records: what s3net's own files may hold, checked when they are read.

``results.jsonl``, ``scores.jsonl``, ``run.json``, ``experiment.json`` and ``STEM.history.json`` may
have been edited, damaged, or made by somebody else. The types below say what each may hold;
:func:`conform` checks a value against them. Fields that they don't name are kept and ignored, so
that files of later versions can be read.
"""

# Without "from __future__ import annotations", which hides Required from TypedDict in Python 3.11.

import json
import math
import os
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import (
    Annotated,
    Any,
    NamedTuple,
    Required,
    TypedDict,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from s3net_jax.io.errors import reason_of
from s3net_jax.io.regular import read_regular

__all__ = [
    "RESULT_KINDS",
    "ExperimentRecord",
    "FileRecord",
    "HistoryRecord",
    "RecordError",
    "ResultName",
    "ResultRecord",
    "RunRecord",
    "ScoreRecord",
    "check_result",
    "check_score",
    "conform",
    "is_result_name",
    "parse_json",
    "read_json",
]

RESULT_KINDS = ("labels", "mask", "overlay", "agreement", "seg", "history", "steps")
"""``STEM.KIND.*`` are results."""

_RESULT = re.compile(rf"(.+)\.({'|'.join(RESULT_KINDS)})\.(png|nii\.gz|tif|dcm|json)", re.DOTALL)
_LONGEST = 255  # bytes of a name, in every file system in use
_SHOWN = 60  # characters of a wrong value that a sentence shows


class RecordError(ValueError):
    """A record that can't be used; the message says what is wrong, as a clause or a sentence."""


class _Rule(NamedTuple):
    """What a value must be, beyond its type."""

    meaning: str
    holds: Callable[[Any], object]


def _is_plain(name: str) -> bool:
    """Whether ``name``, followed by a suffix, is a file in the folder it is joined to."""
    separators = {"/", os.sep, os.altsep or "/", "\0"}
    if not name or name in (".", "..") or any(sign in name for sign in separators):
        return False
    if os.name == "nt" and ":" in name:
        return False
    try:
        return len(os.fsencode(name)) <= _LONGEST
    except UnicodeEncodeError:  # a half of a surrogate pair, which no name has
        return False


def is_result_name(name: str) -> bool:
    """Whether ``name`` is the name of a result, ``STEM.KIND.SUFFIX``, without any folder."""
    return bool(_RESULT.fullmatch(name)) and _is_plain(name)


# 2⁶³: what other readers of JSON can hold.
_Count = Annotated[int, _Rule("a whole number of at least 0", lambda value: 0 <= value < 2**63)]
_Number = Annotated[float, _Rule("a finite number", math.isfinite)]
_Seconds = Annotated[
    float, _Rule("a number of at least 0", lambda value: math.isfinite(value) and value >= 0)
]
_Digest = Annotated[
    str, _Rule("a SHA-256 (64 hexadecimal digits)", re.compile("[0-9a-f]{64}").fullmatch)
]
_Stem = Annotated[str, _Rule("a file name without folders", _is_plain)]
ResultName = Annotated[str, _Rule("the file name of a result, without folders", is_result_name)]


class FileRecord(TypedDict):
    """One file of a result, as it was written."""

    size: _Count
    sha256: _Digest


class ResultRecord(TypedDict, total=False):
    """One line of ``results.jsonl``: a result, or with ``error`` a failure.

    ``sha256`` is the digest of the input's bytes that were segmented; null was written by earlier
    versions for inputs that had vanished. ``files`` (file name → size and digest) is missing from
    results of earlier versions.
    """

    stem: Required[_Stem]
    input: str
    config: str
    seed: _Count
    seeds: _Count
    sha256: _Digest | None
    width: _Count
    height: _Count
    depth: _Count
    pieces: _Count
    steps: _Count
    labels: _Count
    target: list[_Count]
    area: _Count
    area_fraction: _Number
    loss: _Number | None
    seconds: _Seconds
    agreement: _Number
    notes: list[str]
    outputs: dict[str, ResultName]
    files: dict[ResultName, FileRecord]
    error: str


class ScoreRecord(TypedDict, total=False):
    """One line of ``scores.jsonl``: DSC of one image, seed and setting. ``stem`` is a key, and
    names no file."""

    stem: Required[str]
    sha256: Required[_Digest]
    dsc: Required[dict[str, list[_Number]]]


class RunRecord(TypedDict, total=False):
    """``run.json``: the fields that are read again."""

    status: str
    done: _Count
    skipped: _Count
    config_digest: Required[str]
    config: dict[str, Any]


class ExperimentRecord(TypedDict):
    """``experiment.json``: whose folder it is."""

    title: str
    shared: dict[str, Any]
    parts: dict[str, Any]


class _FitHistory(TypedDict):
    piece: _Count
    seed: _Count
    steps: _Count
    loss: list[_Number | None]
    ce: list[_Number | None]
    affine: list[_Number | None]
    spatial: list[_Number | None]
    labels: list[_Number | None]


class HistoryRecord(TypedDict):
    """``STEM.history.json``."""

    fits: list[_FitHistory]


def check_result(record: Any) -> None:
    """Check a line of ``results.jsonl``: types, and that its files are those of its stem.

    Raises:
      RecordError: what is wrong.
    """
    conform(record, ResultRecord, "")
    stem, outputs = record["stem"], record.get("outputs", {})
    for kind, name in outputs.items():
        found = _RESULT.fullmatch(name)
        if found is None or (found[1], found[2]) != (stem, kind):
            raise RecordError(
                f"outputs.{_bare(kind)} is {_short(name)}, where a file "
                f"{_bare(f'{stem}.{kind}')}.* is expected"
            )
    for name in record.get("files", {}):
        if name not in outputs.values():
            raise RecordError(f"files names {_short(name)}, which is not among its outputs")


def check_score(record: Any) -> None:
    """Check a line of ``scores.jsonl``; raises :class:`RecordError`."""
    conform(record, ScoreRecord, "")


def read_json(path: Path, kind: Any) -> Any:
    """Read a JSON file of one of the types above.

    Raises:
      RecordError: why it can't be used, as a clause.
    """
    try:
        value = parse_json(read_regular(path))
    except OSError as error:
        raise RecordError(f"it can't be read: {reason_of(error)}") from None
    conform(value, kind, "")
    return value


def parse_json(content: bytes | str) -> Any:
    """Parse strict JSON: no NaN or infinity, no key twice, nothing too deep or too long to hold.

    Raises:
      RecordError: what is wrong.
    """
    try:
        text = content if isinstance(content, str) else content.decode("utf-8")
        return json.loads(
            text, object_pairs_hook=_object, parse_constant=_refuse, parse_float=_finite
        )
    except RecordError:
        raise
    except RecursionError:
        raise RecordError("it is nested too deeply") from None
    except UnicodeDecodeError:
        raise RecordError("it is not text in UTF-8") from None
    except json.JSONDecodeError as error:
        raise RecordError(f"it is not JSON ({error.msg.lower()}, column {error.colno})") from None
    except ValueError:  # int() refuses more than 4300 digits
        raise RecordError("it holds a number with too many digits") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RecordError(f"it has the key {_short(twice)} twice")
    return found


def _refuse(name: str) -> Any:
    raise RecordError(f"it holds {name}, which is not a number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise RecordError(f"it holds {_short(text)}, which is too large for a number")
    return value


def conform(value: Any, kind: Any, place: str, meaning: str = "") -> None:
    """Check ``value`` against a type of this module.

    Args:
      value: parsed JSON.
      kind: TypedDict, ``list[...]``, ``dict[str, ...]``, ``X | None``, a plain type, or one of
        these with a rule (``Annotated``).
      place: names that lead to the value, with dots; empty for the whole.
      meaning: what is expected there, if a rule says it better than the type.

    Raises:
      RecordError: the first thing that is wrong, and where.
    """
    if kind is Any:
        return
    if is_typeddict(kind):
        _conform_object(value, kind, place)
        return
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        base, rule = arguments
        conform(value, base, place, rule.meaning)
        if not rule.holds(value):
            raise _unexpected(value, place, rule.meaning)
    elif origin is list:
        _expect(value, list, place, meaning)
        for number, item in enumerate(value):
            conform(item, arguments[0], f"{place}[{number}]")
    elif origin is dict:
        _expect(value, dict, place, meaning)
        for name, item in value.items():
            conform(name, arguments[0], f"a key of {place}")
            conform(item, arguments[1], f"{place}.{_bare(name)}")
    elif type(None) in arguments:  # X | None
        if value is not None:
            conform(value, arguments[0], place, meaning)
    else:
        _expect(value, kind, place, meaning)


def _conform_object(value: Any, kind: Any, place: str) -> None:
    _expect(value, dict, place)
    hints = _hints(kind)
    for name in kind.__required_keys__:
        if name not in value:
            raise RecordError(f"{f'{place} has' if place else 'it has'} no {name}")
    for name in value.keys() & hints.keys():
        conform(value[name], hints[name], f"{place}.{name}" if place else name)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    """Field → type, without the marks of TypedDict."""
    found = get_type_hints(kind, include_extras=True)
    return {
        name: get_args(hint)[0] if get_origin(hint) is Required else hint
        for name, hint in found.items()
    }


_WORDS = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


def _expect(value: Any, kind: type, place: str, meaning: str = "") -> None:
    fitting = (int, float) if kind is float else kind
    if not isinstance(value, fitting) or (isinstance(value, bool) and kind is not bool):
        raise _unexpected(value, place, meaning or _WORDS[kind])
    if kind is float and isinstance(value, int) and abs(value) >= 2**1023:
        raise _unexpected(value, place, "a finite number")  # float() can't hold it


def _unexpected(value: Any, place: str, meaning: str) -> RecordError:
    shown = _WORDS[type(value)] if isinstance(value, (list, dict)) else _short(value)
    return RecordError(f"{place or 'it'} is {shown}, where {meaning} is expected")


def _short(value: Any) -> str:
    """A value as JSON shows it, cut to what fits in a sentence."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**_SHOWN:
        return f"a number above 10^{_SHOWN}"
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _bare(name: str) -> str:
    return name if len(name) <= _SHOWN and name.isprintable() else _short(name)
