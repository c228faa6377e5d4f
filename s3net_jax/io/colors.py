"""Colours that remain distinguishable with colour vision deficiencies."""

from __future__ import annotations

import numpy as np

__all__ = ["LUMA", "OUTLINE", "make_cluster_colors"]

LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in the luminance (ITU-R BT.601)."""

OUTLINE = (0, 229, 255)
"""Colour of the target's outline: cyan, which does not occur in skin, tissue or CT."""

# Grey for the largest cluster, usually the background; then the palette of Okabe and Ito (2008).
_FIRST = (
    (0xB8, 0xBC, 0xC2),
    (0xE6, 0x9F, 0x00),
    (0x00, 0x72, 0xB2),
    (0x00, 0x9E, 0x73),
    (0xCC, 0x79, 0xA7),
    (0x56, 0xB4, 0xE9),
    (0xD5, 0x5E, 0x00),
    (0xF0, 0xE4, 0x42),
)
_GOLDEN_ANGLE = 2.399963229728653  # radians; spreads any number of hues almost evenly


def make_cluster_colors(count: int) -> np.ndarray:
    """Return ``count`` cluster colours, (count, 3) uint8.

    The first is grey, the next seven are from the palette of Okabe and Ito. Further colours vary
    in hue and lightness.
    """
    index = np.arange(max(0, count - len(_FIRST)))
    hue = 0.4 + index * _GOLDEN_ANGLE
    lightness = np.array([0.55, 0.8, 0.4, 0.68])[index % 4]
    more = _convert_oklch(lightness, 0.13, hue)
    return np.concatenate([np.array(_FIRST, np.uint8), more])[:count]


def _convert_oklch(lightness: np.ndarray, chroma: float, hue: np.ndarray) -> np.ndarray:
    """Convert Oklch colours (Ottosson 2020) to sRGB, (n, 3) uint8, clipped to the gamut."""
    a, b = chroma * np.cos(hue), chroma * np.sin(hue)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    middle = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = np.stack(
        [
            4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short,
            -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short,
            -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short,
        ],
        axis=-1,
    ).clip(0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.round(encoded * 255).astype(np.uint8)
