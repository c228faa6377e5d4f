"""Parse JSON strictly and check values against types, for :mod:`s3net_jax.schema`."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import cache
from typing import (
    Annotated,
    Any,
    NamedTuple,
    NotRequired,
    Required,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from s3net_jax.errors import RecordError

__all__ = [
    "Count",
    "Number",
    "RecordError",
    "Rule",
    "Seconds",
    "conform",
    "parse_json",
    "shorten",
    "show_name",
]

_SHOWN = 60  # largest number of characters of a wrong value in a message


class Rule(NamedTuple):
    """Condition on a value in addition to its type; metadata of ``Annotated``.

    Attributes:
      meaning: noun phrase for messages.
      holds: function that returns whether a value meets the condition.
    """

    meaning: str
    holds: Callable[[Any], object]


# Below 2⁶³, because other JSON readers use 64-bit integers.
Count = Annotated[int, Rule("a whole number of at least 0", lambda value: 0 <= value < 2**63)]
Number = Annotated[float, Rule("a finite number", math.isfinite)]
Seconds = Annotated[
    float, Rule("a number of at least 0", lambda value: math.isfinite(value) and value >= 0)
]


def parse_json(content: bytes | str) -> Any:
    """Parse strict JSON: no NaN or infinity, no duplicate keys, bounded depth and digits.

    Raises:
      RecordError: the content is not valid; the message is a clause.
    """
    try:
        text = content if isinstance(content, str) else content.decode("utf-8")
        return json.loads(
            text,
            object_pairs_hook=_build_object,
            parse_constant=_refuse_constant,
            parse_float=_parse_finite,
        )
    except RecordError:
        raise
    except RecursionError:
        raise RecordError("it is nested too deeply") from None
    except UnicodeDecodeError:
        raise RecordError("it is not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise RecordError(f"it is not JSON ({error.msg.lower()}, column {error.colno})") from None
    except ValueError:  # int() refuses more than 4300 digits
        raise RecordError("it contains a number with too many digits") from None


def _build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RecordError(f"it has the key {shorten(twice)} twice")
    return found


def _refuse_constant(name: str) -> Any:
    raise RecordError(f"it contains {name}, which is not a number")


def _parse_finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise RecordError(f"it contains {shorten(text)}, which is too large for a number")
    return value


def conform(value: Any, kind: Any, place: str, meaning: str = "") -> None:
    """Check ``value`` against a type.

    Args:
      value: parsed JSON.
      kind: TypedDict, ``list[...]``, ``dict[str, ...]``, ``X | None``, a plain type, one of these
        with a rule (``Annotated``), or a union of plain types.
      place: dotted path of the value in its record; empty for the record itself.
      meaning: noun phrase for the expected value, if it is more specific than the type.

    Raises:
      RecordError: the value does not match; the message names the first mismatch.
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
            raise _make_error(value, place, rule.meaning)
    elif origin is list:
        _expect(value, list, place, meaning)
        for number, item in enumerate(value):
            conform(item, arguments[0], f"{place}[{number}]")
    elif origin is dict:
        _expect(value, dict, place, meaning)
        for name, item in value.items():
            conform(name, arguments[0], f"a key of {place}")
            conform(item, arguments[1], f"{place}.{show_name(name)}")
    elif type(None) in arguments:  # X | None
        if value is not None:
            conform(value, arguments[0], place, meaning)
    elif arguments:  # int | str
        if type(value) not in arguments:
            raise _make_error(value, place, " or ".join(_WORDS[one] for one in arguments))
    else:
        _expect(value, kind, place, meaning)


def _conform_object(value: Any, kind: Any, place: str) -> None:
    _expect(value, dict, place)
    hints = _read_hints(kind)
    for name in kind.__required_keys__:
        if name not in value:
            raise RecordError(f"{f'{place} has' if place else 'it has'} no {name}")
    for name in value.keys() & hints.keys():
        conform(value[name], hints[name], f"{place}.{name}" if place else name)


@cache
def _read_hints(kind: Any) -> dict[str, Any]:
    """Return the fields of a TypedDict and their types, without Required and NotRequired."""
    found = get_type_hints(kind, include_extras=True)
    return {
        name: get_args(hint)[0] if get_origin(hint) in (Required, NotRequired) else hint
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
        raise _make_error(value, place, meaning or _WORDS[kind])
    if kind is float and isinstance(value, int) and abs(value) >= 2**1023:
        raise _make_error(value, place, "a finite number")  # float() would overflow


def _make_error(value: Any, place: str, meaning: str) -> RecordError:
    shown = _WORDS[type(value)] if isinstance(value, (list, dict)) else shorten(value)
    return RecordError(f"{place or 'it'} must be {meaning}, got {shown}")


def shorten(value: Any) -> str:
    """Return a value as JSON, shortened to fit in a message."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**_SHOWN:
        return f"a number above 10^{_SHOWN}"
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def show_name(name: str) -> str:
    """Return a key unchanged, or as shortened JSON if it is long or not printable."""
    return name if len(name) <= _SHOWN and name.isprintable() else shorten(name)
