"""Draw a segmentation as three panels: the input, its clusters, the outlined target."""

from __future__ import annotations

import numpy as np
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

from s3net_jax.io import LUMA, OUTLINE, make_cluster_colors
from s3net_jax.text import replace_undrawable

__all__ = ["crop_input", "draw_overlay", "paint_clusters"]

_PANEL = 440  # long side of a panel in pixels
_FINE = 2  # supersampling factor: panels are drawn larger, then reduced, for smooth lines
_MARGIN, _TITLE, _CAPTION = 14, 30, 26  # heights and gaps in pixels
_PAPER, _INK, _FAINT = (255, 255, 255), (28, 30, 34), (105, 110, 118)
_WARNING = (214, 137, 16)
_CHIPS = 7  # maximum number of clusters in the caption


def draw_overlay(
    image: np.ndarray, labels: np.ndarray, mask: np.ndarray, name: str = "", check: bool = False
) -> PilImage.Image:
    """Draw three panels: the input, its clusters in colour, and the outlined target.

    Args:
      image: (H, W, 3) uint8 image.
      labels: (H, W) integer labels 0..L−1.
      mask: (H, W) bool mask of the target.
      name: title above the input; empty for "input".
      check: whether to mark the target as one that a person should check.

    Returns:
      An RGB picture, about 1400 pixels wide for a square image of any size.
    """
    height, width = labels.shape
    size, whole = _measure_sheet((height, width))
    fine = size[0] * _FINE, size[1] * _FINE
    base = _resize(image, fine)
    small_labels = np.asarray(
        PilImage.fromarray(labels.astype(np.int32)).resize(fine, PilImage.Resampling.NEAREST)
    )
    soft = PilImage.fromarray(mask.astype(np.float32)).resize(fine, PilImage.Resampling.BILINEAR)
    panels = [
        base,
        paint_clusters(base, small_labels),
        _outline_target(base, np.asarray(soft) > 0.5),
    ]

    shares = np.bincount(labels.ravel()) / labels.size
    count = np.count_nonzero(shares)  # a slice may show only some clusters of its volume
    titles = [name or "input", f"{count} clusters" if count > 1 else "1 cluster", "target"]
    area = mask.mean()
    share = f"{100 * area:.1f} % of the image" if area else "none"
    captions = [f"{width} x {height} pixels", "", share]

    sheet = PilImage.new("RGB", whole, _PAPER)
    column = _measure_column(size)
    draw = ImageDraw.Draw(sheet)
    for i, (panel, title, caption) in enumerate(zip(panels, titles, captions, strict=True)):
        left = _MARGIN + i * (column + _MARGIN)
        picture = PilImage.fromarray(panel).resize(size, PilImage.Resampling.BOX)
        sheet.paste(picture, (left, _TITLE))
        _draw_text(draw, (left, _TITLE // 2), title, 15, _INK, column)
        _draw_text(draw, (left, _TITLE + size[1] + _CAPTION // 2), caption, 13, _FAINT, column)
    if check:
        _draw_mark(draw, _MARGIN + 3 * column + 2 * _MARGIN, _TITLE // 2)
    _draw_legend(draw, shares, _MARGIN * 2 + column, _TITLE + size[1] + _CAPTION // 2, column)
    return sheet


def crop_input(sheets: PilImage.Image, shape: tuple[int, int]) -> list[PilImage.Image]:
    """Cut the input out of one or several stacked pictures of :func:`draw_overlay`.

    Args:
      sheets: pictures, one below the other.
      shape: (H, W) of the image that they show.

    Returns:
      The image of each picture, with a long side of 440 pixels; empty if the pictures were not
      drawn of an image of this shape.
    """
    size, whole = _measure_sheet(shape)
    count, rest = divmod(sheets.height, whole[1])
    if sheets.width != whole[0] or rest:
        return []
    tops = [_TITLE + n * whole[1] for n in range(count)]
    return [sheets.crop((_MARGIN, y, _MARGIN + size[0], y + size[1])) for y in tops]


def _measure_sheet(shape: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Compute the size of a panel and of the whole picture, both (width, height)."""
    scale = _PANEL / max(shape)
    size = max(1, round(shape[1] * scale)), max(1, round(shape[0] * scale))
    whole = 3 * _measure_column(size) + 4 * _MARGIN, size[1] + _TITLE + _CAPTION + _MARGIN
    return size, whole


def _measure_column(size: tuple[int, int]) -> int:
    return max(size[0], 200)  # room for the title of a narrow panel


def _resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(PilImage.fromarray(image).resize(size, PilImage.Resampling.BICUBIC))


def paint_clusters(base: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Blend cluster colours with the luminance of the image, and darken cluster boundaries.

    Args:
      base: (H, W, 3) uint8 image.
      labels: (H, W) integer labels 0..L−1.

    Returns:
      (H, W, 3) uint8 picture.
    """
    colors = make_cluster_colors(int(labels.max()) + 1).astype(np.float32)[labels]
    light = (base @ LUMA)[..., None]
    # Most of the colour, so that clusters differ clearly, and enough light to see the image.
    painted = 0.68 * colors + 0.32 * light
    edge = np.zeros(labels.shape, bool)
    edge[:-1] |= labels[:-1] != labels[1:]
    edge[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    painted[edge] *= 0.45
    return painted.astype(np.uint8)


def _outline_target(base: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Dim everything outside the target, and outline it on a dark halo."""
    pixels = base.astype(np.float32)
    if not mask.any():
        return base
    grey = np.repeat((pixels @ LUMA)[..., None], 3, axis=-1)
    pixels = np.where(mask[..., None], pixels, 0.62 * (0.5 * pixels + 0.5 * grey))
    pixels[_find_near_border(mask, 2.6 * _FINE)] *= 0.55
    pixels[_find_near_border(mask, 1.3 * _FINE)] = OUTLINE
    return pixels.astype(np.uint8)


def _find_near_border(mask: np.ndarray, radius: float) -> np.ndarray:
    """Find pixels within ``radius`` of the other side of the mask's boundary."""
    return np.where(mask, _dilate(~mask, radius), _dilate(mask, radius))


def _dilate(mask: np.ndarray, radius: float) -> np.ndarray:
    """Dilate ``mask`` by a disc; faster than a distance transform for radii of a few pixels."""
    height, width = mask.shape
    reach = int(radius)
    padded = np.pad(mask, reach)
    result = np.zeros_like(mask)
    for i in range(-reach, reach + 1):
        for j in range(-reach, reach + 1):
            if i * i + j * j <= radius * radius:
                top, left = reach + i, reach + j
                result |= padded[top : top + height, left : left + width]
    return result


def _draw_mark(draw: ImageDraw.ImageDraw, right: int, y: int) -> None:
    """Draw "check this mask" and a dot in the colour of warnings, up to the column ``right``."""
    text = "check this mask"
    left = right - int(np.ceil(draw.textlength(text, _load_font(13))))
    draw.ellipse((left - 16, y - 5, left - 6, y + 5), fill=_WARNING)
    _draw_text(draw, (left, y), text, 13, _FAINT, right - left + 1)


def _draw_legend(draw: ImageDraw.ImageDraw, shares: np.ndarray, x: int, y: int, width: int) -> None:
    """Draw a chip with the area share of each cluster, as many as fit."""
    colors = make_cluster_colors(len(shares))
    end = x + width
    shown = np.flatnonzero(shares)
    for i, cluster in enumerate(shown):
        share = shares[cluster]
        label = f"{100 * share:.0f} %" if share >= 0.005 else "<1 %"
        rest = f"and {len(shown) - i} more"
        needed = 18 + draw.textlength(label, _load_font(13))
        spare = 0 if i == len(shown) - 1 else 10 + draw.textlength(rest, _load_font(13))
        if i == _CHIPS or x + needed + spare > end:
            _draw_text(draw, (x, y), rest, 13, _FAINT, end - x)
            return
        draw.rectangle((x, y - 5, x + 11, y + 6), fill=tuple(colors[cluster].tolist()))
        _draw_text(draw, (x + 16, y), label, 13, _FAINT, end - x)
        x += int(needed) + 12


def _draw_text(
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int],
    text: str,
    size: int,
    color: tuple[int, int, int],
    room: int,
) -> None:
    """Draw ``text`` at ``place`` (left, middle); text that does not fit loses its beginning."""
    font = _load_font(size)
    text = replace_undrawable(text)
    if draw.textlength(text, font) > room:
        while len(text) > 1 and draw.textlength("..." + text, font) > room:
            text = text[1:]
        text = "..." + text
    draw.text(place, text, fill=color, font=font, anchor="lm")


def _load_font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
