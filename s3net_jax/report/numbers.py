"""Draw a label map with the numbers of its clusters."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

from s3net_jax.io import make_cluster_colors

__all__ = ["draw_numbers"]

_LONG_SIDE = 1000  # longest side of the picture in pixels: readable, and small enough to send
_SIZE = 20  # height of a number in pixels
_INK, _HALO = (0, 0, 0), (255, 255, 255)


def draw_numbers(labels: np.ndarray, places: Mapping[int, tuple[int, int]]) -> PilImage.Image:
    """Draw clusters in the colours of label maps and overlays, and a number on each.

    Args:
      labels: (H, W) integer labels 0..L−1.
      places: label → pixel (x, y) at which its number is drawn.

    Returns:
      An RGB picture whose long side has 1000 pixels.
    """
    height, width = labels.shape
    scale = _LONG_SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    colors = make_cluster_colors(int(labels.max()) + 1)
    # Colours are looked up after resizing, which would mix them at borders.
    shown = np.asarray(
        PilImage.fromarray(labels.astype(np.int32)).resize(size, PilImage.Resampling.NEAREST)
    )
    picture = PilImage.fromarray(colors[shown])
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(_SIZE)
    for label, (x, y) in places.items():
        middle = (x + 0.5) * scale, (y + 0.5) * scale
        draw.text(middle, str(label), _INK, font, anchor="mm", stroke_width=3, stroke_fill=_HALO)
    return picture
