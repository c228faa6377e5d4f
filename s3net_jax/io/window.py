"""Windows: the values shown as black and as white in images with more than 8 bits."""

from __future__ import annotations

import math
from typing import Any

from s3net_jax.errors import ConfigError, suggest_nearest

__all__ = ["WINDOWS", "format_window", "parse_window"]

WINDOWS = {"lung": (-1350.0, 150.0), "soft": (-160.0, 240.0), "bone": (-450.0, 1050.0)}
"""(low, high) in Hounsfield units. The widths and levels are usual in radiology: 1500 around −600
(lung), 400 around 40 (soft tissue), 1500 around 300 (bone)."""


def parse_window(text: str) -> tuple[float, float] | None:
    """Parse ``auto``, a name in :data:`WINDOWS`, or ``LOW,HIGH``.

    Returns:
      (low, high), or None for ``auto``.

    Raises:
      ConfigError: ``text`` has none of these forms, or LOW is not below HIGH.
    """
    if text == "auto":
        return None
    if text in WINDOWS:
        return WINDOWS[text]
    low, comma, high = text.partition(",")
    if not comma:
        raise ConfigError(
            f"There is no window {text!r}.{suggest_nearest(text, ['auto', *WINDOWS, 'LOW,HIGH'])}"
        )
    try:
        window = float(low), float(high)
    except ValueError:
        window = math.nan, math.nan
    if not (math.isfinite(window[0]) and window[0] < window[1] < math.inf):
        raise ConfigError(
            f"The window must be LOW,HIGH with two numbers and LOW below HIGH, got {text!r}."
        )
    return window


def format_window(window: Any) -> str:
    """Format two numbers ``(low, high)`` as a text that :func:`parse_window` takes.

    Raises:
      ConfigError: ``window`` is something else than two numbers.
    """
    try:
        numbers = [float(value) for value in window]
        low, high = (int(value) if value.is_integer() else value for value in numbers)
    except (TypeError, ValueError):
        raise ConfigError(
            f"window can't be {window!r}: give a name, such as 'lung', or two numbers (LOW, HIGH)."
        ) from None
    return f"{low},{high}"
