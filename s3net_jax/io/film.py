"""Film strips: label maps over the steps of a fit as one picture that can be read back exactly."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from s3net_jax.errors import InputError
from s3net_jax.io.colors import make_cluster_colors
from s3net_jax.io.regular import read_regular
from s3net_jax.io.write import replace_file
from s3net_jax.text import replace_undrawable

__all__ = ["Film", "Strip", "read_film", "write_film"]

_COLORS = 240  # palette entries for clusters; the other 16 are greys for background and text
_KEY = "s3net-film"
# Layout in pixels.
_GAP, _MARGIN = 8, 14
_HEAD, _LINE = 26, 17  # heights of a strip's name and of a line of text below a frame
_NARROW = 84  # smallest column width that fits the text below a frame


@dataclass(frozen=True, eq=False)
class Strip:
    """One row of a film.

    Attributes:
      name: name of the row.
      titles: title of each frame, such as ``step 3``.
      counts: number of clusters in each label map; a frame that was shrunk may show fewer.
      frames: label maps, (N, h, w) integers ≥ 0; a label is the same cluster in every frame.
    """

    name: str
    titles: tuple[str, ...]
    counts: tuple[int, ...]
    frames: np.ndarray


@dataclass(frozen=True, eq=False)
class Film:
    """Strips of frames of equal size that share their labels."""

    strips: tuple[Strip, ...]


def write_film(path: Path, film: Film) -> None:
    """Write a film as a PNG with a palette: one row per strip, text below each frame.

    A text chunk of the PNG stores the positions of the frames for :func:`read_film`. Labels from
    240 on reuse the colours of smaller labels.

    Raises:
      OutputError: the file cannot be written.
    """
    height, width = film.strips[0].frames.shape[1:]
    column = max(width, _NARROW) + _GAP
    row = _HEAD + height + 2 * _LINE + _GAP
    count = max(len(strip.frames) for strip in film.strips)
    size = 2 * _MARGIN + count * column - _GAP, _MARGIN + len(film.strips) * row
    letters = PilImage.new("L", size, 255)
    draw = ImageDraw.Draw(letters)
    places = []
    for n, strip in enumerate(film.strips):
        top = n * row + _HEAD + _MARGIN // 2
        lefts = [_MARGIN + k * column for k in range(len(strip.frames))]
        _draw_text(draw, (_MARGIN, top - _HEAD // 2), strip.name, 15, 20)
        for left, title, clusters in zip(lefts, strip.titles, strip.counts, strict=True):
            caption = f"{clusters} cluster" + ("s" if clusters > 1 else "")
            _draw_text(draw, (left, top + height + _LINE * 0.6), title, 13, 40)
            _draw_text(draw, (left, top + height + _LINE * 1.5), caption, 12, 110)
        place = {"left": lefts, "top": top, "name": strip.name}
        places.append({**place, "titles": strip.titles, "counts": strip.counts})
    # 16 grey levels, 17 apart, follow the cluster colours in the palette: white first.
    pixels = (_COLORS + (255 - np.asarray(letters)) // 17).astype(np.uint8)
    for place, strip in zip(places, film.strips, strict=True):
        for left, frame in zip(place["left"], strip.frames, strict=True):
            shown = pixels[place["top"] :, left:]
            shown[:height, :width] = np.where(frame < _COLORS, frame, 8 + frame % (_COLORS - 8))
    picture = PilImage.fromarray(pixels)
    greys = np.repeat(np.arange(255, -1, -17).astype(np.uint8)[:, None], 3, 1)
    picture.putpalette(np.concatenate([make_cluster_colors(_COLORS), greys]).tobytes())
    text = PngInfo()
    text.add_itxt(_KEY, json.dumps({"width": width, "height": height, "strips": places}))
    with replace_file(path) as file:
        picture.save(file, format="PNG", pnginfo=text)


def read_film(path: Path) -> Film:
    """Read a film that :func:`write_film` wrote; frames are uint8.

    Raises:
      InputError: the file cannot be read or is not a film.
    """
    try:
        with PilImage.open(io.BytesIO(read_regular(path)), formats=("PNG",)) as picture:
            pixels = np.asarray(picture)
            content = json.loads(picture.info[_KEY])
        height, width = content["height"], content["width"]
        strips = [_read_strip(pixels, place, height, width) for place in content["strips"]]
    except Exception:  # decoders raise many types of exceptions for other data
        raise InputError(
            f"{path} is not a film of label maps written by s3net: remove it and repeat the "
            "command."
        ) from None
    return Film(tuple(strips))


def _read_strip(pixels: np.ndarray, place: dict[str, Any], height: int, width: int) -> Strip:
    """Cut out one strip; raise ValueError if its frames are not inside the picture."""
    name, titles, counts, top = (place[key] for key in ("name", "titles", "counts", "top"))
    frames = [pixels[top : top + height, left : left + width] for left in place["left"]]
    is_whole = (
        min(height, width, top + 1, *(left + 1 for left in place["left"])) >= 1
        and all(frame.shape == (height, width) for frame in frames)
        and len(titles) == len(counts) == len(frames)
        and all(isinstance(text, str) for text in (name, *titles))
        and all(isinstance(count, int) for count in counts)
    )
    if not is_whole:
        raise ValueError("its frames are outside the picture")
    return Strip(name, tuple(titles), tuple(counts), np.stack(frames))


def _draw_text(
    draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, size: int, grey: int
) -> None:
    draw.text(
        place, replace_undrawable(text), fill=grey, font=ImageFont.load_default(size), anchor="lm"
    )
