"""Check options and sizes of modules and functions, each with one clear sentence."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from s3net_jax.errors import suggest_nearest

__all__ = ["check_choice", "check_size", "check_sizes", "check_whole"]


def check_choice(name: str, value: Any, choices: Sequence[str | None]) -> Any:
    """``value``, one of ``choices``; raises ValueError that names the nearest choices."""
    if value is None or isinstance(value, str):
        if value in choices:
            return value
        words = [choice if isinstance(choice, str) else "None" for choice in choices]
        raise ValueError(f"{name} can't be {value!r}.{suggest_nearest(str(value), words)}")
    given = f"{value!r} ({type(value).__name__})"
    shown = ", ".join(repr(choice) for choice in choices)
    raise TypeError(f"{name} can't be {given}: it takes one of {shown}.")


def check_whole(name: str, value: Any) -> int:
    """``value`` as an int, of any kind of integer; raises TypeError for booleans and others."""
    try:
        if isinstance(value, bool) or str(getattr(value, "dtype", "")) == "bool":
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}, where a whole number is expected.") from None


def check_size(name: str, value: Any, *, least: int = 1, odd: bool = False) -> int:
    """``value`` as an int, of any kind of integer.

    Args:
      name: what the value is called in messages.
      value: the size.
      least: smallest size.
      odd: whether the size must be odd, as a kernel's.

    Raises:
      TypeError: no whole number (booleans and floats count as none).
      ValueError: below ``least``, or even where it must be odd.
    """
    size = check_whole(name, value)
    if size < least:
        raise ValueError(f"{name} must be at least {least}, got {size}.")
    if odd and size % 2 == 0:
        raise ValueError(f"{name} must be odd, got {size}.")
    return size


def check_sizes(
    name: str, values: Any, *, least: int = 1, odd: bool = False, count: int | None = None
) -> tuple[int, ...]:
    """``values``, a sequence of at least one size (of ``count``, where given), as a tuple of ints.

    Raises:
      TypeError: no sequence, or an entry that is no whole number.
      ValueError: another number of entries, or an entry out of range.
    """
    if isinstance(values, str | bytes) or not hasattr(values, "__iter__"):
        raise TypeError(f"{name} is {values!r}, where a sequence of whole numbers is expected.")
    sizes = tuple(
        check_size(f"{name}[{n}]", value, least=least, odd=odd) for n, value in enumerate(values)
    )
    if not sizes or (count is not None and len(sizes) != count):
        wanted = "at least one" if count is None else str(count)
        raise ValueError(f"{name} has {len(sizes)} entries, where {wanted} are expected.")
    return sizes
