"""Make the sample pictures of the viewer's menu."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["make_glands", "make_spots"]


def make_glands() -> list[tuple[np.ndarray, dict[str, Any], str]]:
    """Return the picture of ``s3net demo``, colonic glands, as a layer of colours."""
    from skimage import data

    return [(data.immunohistochemistry(), {"name": "glands", "rgb": True}, "image")]


def make_spots() -> list[tuple[np.ndarray, dict[str, Any], str]]:
    """Return a drawn picture, (192, 256, 3) uint8, with a dark and a reddish spot on a pale ground.

    The layer has a pixel size of 0.1 mm.
    """
    random = np.random.default_rng(0)
    y, x = np.mgrid[:192, :256]
    wave = 6 * np.sin(np.arctan2(y - 100, x - 95) * 5)
    colors = np.full((192, 256, 3), (222, 180, 160), float)
    colors[np.hypot(y - 100, x - 95) < 52 + wave] = (110, 62, 48)
    colors[np.hypot((y - 60) / 0.8, x - 205) < 30] = (196, 92, 92)
    colors += random.normal(0, 9, colors.shape)
    picture = np.clip(colors, 0, 255).astype(np.uint8)
    options = {"name": "spots", "rgb": True, "scale": (0.1, 0.1), "units": ("mm", "mm")}
    return [(picture, options, "image")]
