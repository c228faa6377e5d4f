"""Replace fields of nested dataclasses, with values as Python or a command line gives them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

from s3net_jax.errors import ConfigError, suggest_nearest

__all__ = ["check_types", "convert_value", "parse_overrides", "replace_fields"]

_LARGEST = 2**31 - 1  # compiled programs store integers as int32


def parse_overrides(items: list[str] | tuple[str, ...]) -> dict[str, Any]:
    """Parse ``["fit.steps=20", ...]`` into the nested dict for :meth:`Config.replace`."""
    tree: dict[str, Any] = {}
    for item in items:
        name, sign, value = item.partition("=")
        if not sign or not name.strip():
            raise ConfigError(f"Can't read the setting {item!r}: write it as section.field=value.")
        *path, leaf = name.strip().split(".")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise ConfigError(f"The setting {item!r} sets a field inside a field.")
        if isinstance(node.get(leaf), dict):
            raise ConfigError(f"The setting {item!r} replaces a whole section: name its fields.")
        node[leaf] = value.strip()
    return tree


@cache
def _get_hints(section: type) -> dict[str, Any]:
    """Return field name → type of a dataclass; annotated class variables are no fields."""
    hints = get_type_hints(section)
    return {field.name: hints[field.name] for field in dataclasses.fields(section)}


def replace_fields(section: Any, changes: Mapping[str, Any], path: str) -> Any:
    """Return a copy of a dataclass with fields replaced, those of inner dataclasses too.

    Args:
      section: an instance of a dataclass.
      changes: field name → new value; a mapping for an inner dataclass.
      path: prefix of the fields' dotted names in messages, empty or ending in a dot.

    Raises:
      ConfigError: a field does not exist, or does not accept its value.
    """
    hints = _get_hints(type(section))
    new = {}
    for name, value in changes.items():
        full = f"{path}{name}"
        if name not in hints:
            names = [f"{path}{n}" for n in hints if n != "preset"]
            inner = [f"{n}.{name}" for n in names if hasattr(getattr(section, n, None), name)]
            hint = f" Did you mean {' or '.join(inner)}?" if inner else suggest_nearest(full, names)
            raise ConfigError(f"There is no field {full!r} in the configuration.{hint}")
        old = getattr(section, name)
        if dataclasses.is_dataclass(old):
            if isinstance(value, hints[name]):
                new[name] = value
            elif isinstance(value, Mapping):
                new[name] = replace_fields(old, value, f"{full}.")
            else:
                raise ConfigError(f"{full!r} is a section: set its fields, as {full}.NAME=value.")
        else:
            new[name] = convert_value(value, hints[name], full)
    return dataclasses.replace(section, **new)


def convert_value(value: Any, hint: Any, name: str) -> Any:
    """Convert ``value`` to the annotated type; strings are parsed as on a command line."""
    try:
        if get_origin(hint) is Literal:
            if value not in get_args(hint):
                choices = [str(c) for c in get_args(hint)]
                raise ConfigError(
                    f"{name} can't be {value!r}.{suggest_nearest(str(value), choices)}"
                )
            return value
        if hint is bool:
            words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
            return value if isinstance(value, bool) else words[str(value).lower()]
        if hint is int:
            if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
                raise ValueError
            if abs(whole := int(value)) > _LARGEST:
                raise ValueError
            return whole
        if hint is float:
            if isinstance(value, bool) or not math.isfinite(number := float(value)):
                raise ValueError
            return number
        if get_origin(hint) is tuple:
            args = get_args(hint)
            parts = value.strip("()[]").split(",") if isinstance(value, str) else list(value)
            kinds = [args[0]] * len(parts) if args[-1] is Ellipsis else args
            if len(parts) != len(kinds):
                raise ValueError
            return tuple(convert_value(p, k, name) for p, k in zip(parts, kinds, strict=True))
        return str(value)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{name} can't be {value!r}: expected {_describe_type(hint)}.") from None


def _describe_type(hint: Any) -> str:
    return getattr(hint, "__name__", str(hint)) if get_origin(hint) is None else str(hint)


def check_types(section: Any, path: str) -> None:
    """Check the types of fields built by hand; :func:`replace_fields` has converted its own."""
    for name, hint in _get_hints(type(section)).items():
        value, full = getattr(section, name), f"{path}{name}"
        if dataclasses.is_dataclass(hint):
            if not isinstance(value, hint):  # pyright: ignore[reportArgumentType]
                raise ConfigError(
                    f"{full!r} is a section, not a {type(value).__name__}: use "
                    f"Config().replace({full}={{...}})."
                )
            check_types(value, f"{full}.")
            continue
        exact = tuple if get_origin(hint) is tuple else int if hint is int else None
        if convert_value(value, hint, full) != value or (exact and not isinstance(value, exact)):
            raise ConfigError(f"{full} can't be {value!r}: expected {_describe_type(hint)}.")
