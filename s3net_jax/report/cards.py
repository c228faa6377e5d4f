"""Build the cards of a review page: a result with its outline, figures and clusters.

A card is one line of HTML, below a comment with its key. A later page of the same run takes cards
from the earlier one by their keys, instead of drawing every result again (:func:`find_cards`).
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image as PilImage

from s3net_jax.csv_text import format_cell
from s3net_jax.report.document import quote_link
from s3net_jax.report.markup import Markup, element
from s3net_jax.report.pictures import compute_fit_size, encode_data_uri, trace_outline

__all__ = ["Card", "Pixels", "Sizes", "build_card", "find_cards", "wrap_card"]

_FULL = 200  # pages of at most this many results have pictures of full size


@dataclass(frozen=True)
class Sizes:
    """Sizes of what a card contains, which shrink with the number of results on the page.

    A card of full size takes at most 71 kB, so 200 results of pure noise stay below 15 MB;
    photographs and slices take about a third.

    Attributes:
      side: long side of the picture in pixels.
      grid: long side of the label map in cells.
      picture, labels: largest number of bytes of the compressed picture and label map.
      outline: largest number of characters of the outline.
    """

    side: int = 400
    grid: int = 192
    picture: int = 30_000
    labels: int = 14_000
    outline: int = 10_000

    @staticmethod
    def choose(count: int) -> Sizes:
        """Choose the sizes for a page of ``count`` results."""
        # Steps of √2, so that a few more inputs do not change every card.
        halvings = max(0, math.ceil(math.log2(count / _FULL))) if count else 0
        whole, scale = Sizes(), 2**-halvings
        return Sizes(
            # Below 96 pixels nothing can be recognised, so very long pages become larger.
            max(96, round(whole.side * math.sqrt(scale))),
            max(64, round(whole.grid * math.sqrt(scale))),
            max(4000, round(whole.picture * scale)),
            max(2000, round(whole.labels * scale)),
            max(1500, round(whole.outline * scale)),
        )


@dataclass(frozen=True, eq=False)
class Pixels:
    """Arrays that a card shows.

    Attributes:
      picture: picture of the input.
      mask: (H, W) bool mask of the target.
      labels: (H, W) integer label map, or None if it can't be shown.
    """

    picture: PilImage.Image
    mask: np.ndarray
    labels: np.ndarray | None


@dataclass(frozen=True)
class Card:
    """Text and figures of a card.

    Attributes:
      name: name of the result, without folder and suffix.
      key: identity of the result: another result of the same input has another key.
      overlay: file name of the overlay, or "" without one.
      target: labels that form the target.
      shares: fraction of the input that each label covers, in [0, 1]; label 0 first.
      area: fraction of the input that the target covers, in [0, 1].
      expected: expected DSC in [0, 1], or None if it was not estimated.
      check: why a person should check the result, or "".
      facts: short figures below the name.
      notes: sentences on the result.
    """

    name: str
    key: str
    overlay: str
    target: Sequence[int]
    shares: Sequence[float]
    area: float
    expected: float | None
    check: str
    facts: Sequence[str]
    notes: Sequence[str]


def build_card(card: Card, pixels: Pixels | None, sizes: Sizes) -> Markup:
    """Build the figure element of one result, in one line.

    Args:
      card: text and figures.
      pixels: arrays to show, or None if the result's files can't be read.
      sizes: sizes of picture, label map and outline.
    """
    data: dict[str, object] = {
        "data_key": card.key,
        "data_name": card.name,
        "data_cell": format_cell(card.name),
        "data_target": ",".join(map(str, card.target)),
        "data_shares": ",".join(f"{share:.4g}" for share in card.shares),
        "data_area": f"{card.area:.5f}",
        "data_check": "1" if card.check else None,
    }
    if card.expected is not None:
        data["data_expected"] = f"{card.expected:.4f}"
    if pixels is None:
        shot = element("div", element("p", "No picture can be shown."), class_="shot missing")
    else:
        shot = _draw_shot(card, pixels, sizes)
        if pixels.labels is not None and len(card.shares) > 1:
            code, width, height = _encode_labels(pixels.labels, sizes)
            data |= {"data_labels": code, "data_grid": f"{width}x{height}"}
    figure = element("figure", shot, _build_caption(card), class_="card", **data)
    return Markup(figure.replace("\n", " "))


def _build_caption(card: Card) -> Markup:
    name = element("span", card.name, class_="title")
    if card.overlay:
        name = element("a", card.name, href=quote_link(card.overlay), class_="title")
    parts = [name]
    if card.check:
        parts.append(element("span", card.check, class_="flag"))
    parts.append(element("span", " · ".join(card.facts), class_="faint facts"))
    parts += [element("span", note, class_="faint note") for note in card.notes]
    parts.append(element("span", class_="mark"))
    parts.append(
        element(
            "span",
            *(
                element(
                    "button",
                    word,
                    type="button",
                    class_=word.lower(),
                    aria_label=f"{word}: {card.name}",
                    aria_pressed="false",
                )
                for word in ("Good", "Bad")
            ),
            class_="verdicts needs-script",
        )
    )
    return element("figcaption", *parts)


def _draw_shot(card: Card, pixels: Pixels, sizes: Sizes) -> Markup:
    """Draw the picture with the outline of the mask on top."""
    picture = pixels.picture.convert("RGB")
    size = compute_fit_size((picture.height, picture.width), min(sizes.side, max(picture.size)))
    picture = picture.resize(size, PilImage.Resampling.LANCZOS)
    path, width, height = _trace_within(pixels.mask, sizes.outline)
    lines = Markup(f'<path class="halo" d="{path}"/><path d="{path}"/>')
    outline = "with the outline of the target" if path else "without a target"
    return element(
        "div",
        element(
            "img",
            src=_encode_within(picture, sizes.picture),
            width=picture.width,
            height=picture.height,
            alt=f"{card.name}, {outline}",
            loading="lazy",
        ),
        element(
            "svg",
            element("g", lines, class_="mask"),
            viewBox=f"0 0 {width} {height}",
            preserveAspectRatio="none",
            class_="lines",
            aria_hidden="true",
        ),
        class_="shot",
    )


def _encode_within(picture: PilImage.Image, limit: int) -> str:
    """Encode a picture; one that is larger than ``limit`` bytes loses quality, then size."""
    while True:
        for quality in (85, 70, 50):
            code = encode_data_uri(picture, quality=quality)
            if len(code) * 3 // 4 <= limit:
                return code
        if max(picture.size) < 64:
            return code
        picture = picture.resize((max(1, picture.width // 2), max(1, picture.height // 2)))


def _trace_within(mask: np.ndarray, limit: int) -> tuple[str, int, int]:
    """Trace an outline, on a coarser grid if the path would have more than ``limit`` characters.

    The path is on the page twice, since a dark halo keeps it visible on bright pictures.
    """
    grid = 160
    while True:
        found = trace_outline(mask, grid)
        if 2 * len(found[0]) <= limit or grid <= 10:
            return found
        grid //= 2


def _encode_labels(labels: np.ndarray, sizes: Sizes) -> tuple[str, int, int]:
    """Encode a reduced label map as zlib and base64; returns the code, width and height.

    Labels are bytes, or little-endian 16-bit numbers if one exceeds 255. The script does not read
    them from a picture, because some browsers add noise to pixels that scripts read.
    """
    kind = np.uint8 if labels.max(initial=0) < 256 else np.dtype("<u2")
    grid = min(sizes.grid, max(labels.shape))
    while True:
        width, height = compute_fit_size(labels.shape, grid)
        rows = (np.arange(height) * 2 + 1) * labels.shape[0] // (2 * height)
        columns = (np.arange(width) * 2 + 1) * labels.shape[1] // (2 * width)
        packed = zlib.compress(labels[np.ix_(rows, columns)].astype(kind).tobytes(), 9)
        if len(packed) <= sizes.labels or grid <= 16:
            return base64.b64encode(packed).decode(), width, height
        grid = max(16, int(grid * 0.7))


def wrap_card(key: str, card: str) -> str:
    """Return the lines of a card on the page: its key and digest, then the card."""
    return f"<!--card {key} {_digest(card)}-->\n{card}\n"


def find_cards(page: str) -> dict[str, Markup]:
    """Find the cards of an earlier page by their keys; damaged ones are left out."""
    found = re.finditer(r"^<!--card (\w+) (\w+)-->\n(<figure .*</figure>)$", page, re.MULTILINE)
    return {m[1]: Markup(m[3]) for m in found if _digest(m[3]) == m[2]}


def _digest(card: str) -> str:
    return hashlib.sha256(card.encode()).hexdigest()[:16]
