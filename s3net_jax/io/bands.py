"""Process large pictures and volumes in bands, to limit the memory of temporary copies."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image as PilImage

__all__ = ["convert_by_bands", "is_uniform", "split_into_bands"]

# Values per band: 32 MiB in float64, and enough that the overhead per band is negligible.
_VALUES = 1 << 22


def split_into_bands(count: int, each: int) -> Iterator[slice]:
    """Yield consecutive bands that cover ``count`` rows (or slices) of ``each`` values."""
    step = max(1, _VALUES // max(each, 1))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def convert_by_bands(
    picture: PilImage.Image, convert: Callable[[PilImage.Image], np.ndarray]
) -> np.ndarray:
    """Return ``convert(picture)`` for a pixelwise conversion, computed in bands."""
    width, height = picture.size
    rows = list(split_into_bands(height, width))
    if len(rows) < 2:
        return convert(picture)
    result: np.ndarray | None = None
    for row in rows:
        part = convert(picture.crop((0, row.start, width, row.stop)))
        if result is None:
            result = np.empty((height, *part.shape[1:]), part.dtype)
        result[row] = part
    assert result is not None
    return result


def is_uniform(pixels: np.ndarray) -> bool:
    """Return whether all pixels, (H, W, ...), are equal."""
    corner = pixels[:1, :1]
    each = int(np.prod(pixels.shape[1:]))
    return all(bool((pixels[part] == corner).all()) for part in split_into_bands(len(pixels), each))
