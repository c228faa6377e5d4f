"""Which values of a deep image are shown as black and as white."""

from __future__ import annotations

import math

from s3net_jax.errors import ConfigError, suggest_nearest

__all__ = ["WINDOWS", "parse_window"]

WINDOWS = {"lung": (-1350.0, 150.0), "soft": (-160.0, 240.0), "bone": (-450.0, 1050.0)}
"""Hounsfield units, as radiologists set them: width 1500 around −600, 400 around 40, 1500
around 300."""


def parse_window(text: str) -> tuple[float, float] | None:
    """(low, high) of ``auto`` (None), a name in :data:`WINDOWS`, or ``LOW,HIGH``.

    Raises:
      ConfigError: anything else, or a window without width.
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
            f"The window {text!r} is not LOW,HIGH with two numbers, the first the smaller."
        )
    return window
