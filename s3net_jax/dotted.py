"""Fields of nested dataclasses, by the dotted names that the command's ``--set`` takes."""

from __future__ import annotations

import dataclasses
from typing import Any

__all__ = ["find_differences", "format_fields", "format_value", "list_fields"]


def list_fields(section: Any, path: str = "") -> dict[str, Any]:
    """Return dotted name → value of every field, those of inner dataclasses among them.

    Args:
      section: an instance of a dataclass.
      path: prefix of the names, empty or ending in a dot.
    """
    found: dict[str, Any] = {}
    for field in dataclasses.fields(section):
        value, name = getattr(section, field.name), f"{path}{field.name}"
        inner = dataclasses.is_dataclass(value)
        found |= list_fields(value, f"{name}.") if inner else {name: value}
    return found


def find_differences(section: Any, other: Any) -> dict[str, Any]:
    """Return name → value in ``section`` of every field that ``other`` lacks or has otherwise.

    Args:
      section: an instance of a dataclass.
      other: an instance of the same dataclass; inner dataclasses may have other fields.
    """
    theirs = list_fields(other)
    return {
        name: value
        for name, value in list_fields(section).items()
        if name not in theirs or value != theirs[name]
    }


def format_value(value: Any) -> str:
    """Write the value of a field as ``--set`` takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def format_fields(section: Any) -> str:
    """Write an inner dataclass a line, with values as ``--set`` takes them.

    The fields of ``section`` itself come first, after the name of its class.
    """
    lines: dict[str, list[str]] = {}
    for name, value in list_fields(section).items():
        place, _, own = name.rpartition(".")
        text = f"{own}={format_value(value)}"
        lines.setdefault(place or type(section).__name__, []).append(text)
    return "\n".join(f"{place}: {' '.join(fields)}" for place, fields in lines.items())
