"""Windows: the values shown as black and as white in images with more than 8 bits."""

from __future__ import annotations

import math

from s3net_jax.errors import ConfigError, suggest_nearest

__all__ = ["WINDOWS", "parse_window"]

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
