"""Check options and sizes, and report each mistake in one sentence."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from s3net_jax.errors import suggest_nearest

__all__ = ["check_choice", "check_size", "check_sizes", "check_whole"]


def check_choice(name: str, value: Any, choices: Sequence[str | None]) -> Any:
    """Return ``value`` if it is in ``choices``; raise ValueError with the nearest choices."""
    if value is None or isinstance(value, str):
        if value in choices:
            return value
        words = [choice if isinstance(choice, str) else "None" for choice in choices]
        raise ValueError(f"{name} can't be {value!r}.{suggest_nearest(str(value), words)}")
    given = f"{value!r} ({type(value).__name__})"
    shown = ", ".join(repr(choice) for choice in choices)
    raise TypeError(f"{name} can't be {given}: it must be one of {shown}.")


def check_whole(name: str, value: Any) -> int:
    """Return any kind of integer as an int; raise TypeError for booleans and other types."""
    try:
        if isinstance(value, bool) or str(getattr(value, "dtype", "")) == "bool":
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}, where a whole number is expected.") from None


def check_size(name: str, value: Any, *, least: int = 1, odd: bool = False) -> int:
    """Return any kind of integer as an int within limits.

    Args:
      name: name of the value in messages.
      value: size to check.
      least: smallest valid size.
      odd: whether the size must be odd, like a kernel's.

    Raises:
      TypeError: not a whole number (booleans and floats are rejected).
      ValueError: below ``least``, or even where odd is required.
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
    """Return a nonempty sequence of sizes as a tuple of ints.

    Args:
      name: name of the values in messages.
      values: sizes to check.
      least: smallest valid size.
      odd: whether the sizes must be odd.
      count: required number of sizes; None for any.

    Raises:
      TypeError: not a sequence, or an entry that is not a whole number.
      ValueError: a wrong number of entries, or an entry out of range.
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
