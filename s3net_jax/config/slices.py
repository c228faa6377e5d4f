"""The slices of a volume that are segmented: a range, numbered from 1."""

from __future__ import annotations

import re
from typing import Any

from s3net_jax.errors import ConfigError, InputError

__all__ = ["ALL_SLICES", "find_slices", "format_slices", "parse_slices"]

ALL_SLICES = "all"

_RANGE = re.compile(r"([1-9][0-9]{0,8})?:([1-9][0-9]{0,8})?")


def parse_slices(text: str) -> tuple[int, int | None]:
    """Parse ``all``, ``A:B``, ``A:`` or ``:B``.

    Returns:
      The first and the last slice, numbered from 1; None for the last one of the volume.

    Raises:
      ConfigError: ``text`` has none of these forms, or A is above B.
    """
    if text == ALL_SLICES:
        return 1, None
    found = _RANGE.fullmatch(text)
    first, last = (found[1], found[2]) if found else (None, None)
    if not (first or last) or (first and last and int(first) > int(last)):
        raise ConfigError(
            f"input.slices can't be {text!r}: give A:B with A at most B, such as 10:40, 10: or "
            ":40. Slices are numbered from 1."
        )
    return int(first or 1), int(last) if last else None


def format_slices(slices: Any) -> str:
    """Format ``(first, last)``, of which either may be None, as :func:`parse_slices` takes it.

    Raises:
      ConfigError: ``slices`` is something else than two whole numbers of at least 1.
    """
    try:
        first, last = slices
        whole = all(n is None or int(n) == n for n in (first, last))
    except (TypeError, ValueError):
        first, last, whole = None, None, False
    if not whole:
        raise ConfigError(
            f"slices can't be {slices!r}: give the first and the last slice, such as (10, 40) or "
            "(10, None). Slices are numbered from 1."
        )
    if first is last is None:
        return ALL_SLICES
    text = ":".join("" if n is None else str(int(n)) for n in (first, last))
    parse_slices(text)
    return text


def find_slices(text: str, count: int, name: str) -> range:
    """Return the indices, from 0, of the slices that are segmented.

    Args:
      text: range as :func:`parse_slices` takes it.
      count: number of slices of the volume.
      name: name of the volume in messages.

    Raises:
      InputError: the volume has fewer slices.
    """
    first, last = parse_slices(text)
    if max(first, last or 0) > count:
        some = "1 slice" if count == 1 else f"{count} slices"
        raise InputError(f"{name} has {some}, so {text} is out of range: choose other slices.")
    return range(first - 1, last or count)
