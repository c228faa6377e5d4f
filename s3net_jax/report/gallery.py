"""Build a gallery: pictures with outlines that can be hidden, sortable by any score."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from s3net_jax.report.markup import Markup, element
from s3net_jax.report.pictures import embed_picture, shrink, trace_outline, trace_regions

__all__ = ["Picture", "build_gallery", "build_switches", "draw_outlines"]

_SIDE, _MANY = 320, 200  # long side of a thumbnail in pixels, for at most this many pictures
_LEAST = 96  # smallest long side of a thumbnail, however many pictures there are


@dataclass(frozen=True, eq=False)
class Picture:
    """One image of the gallery. Pixels are loaded by functions and dropped after use.

    Attributes:
      name: caption of the picture.
      image: function that returns the image, (H, W, 3) uint8.
      mask, truth: functions that return mask and ground truth, (H, W) bool, or label maps of the
        whole image, (H, W) integers.
      scores: name → figure in percent, higher is better; the gallery is initially sorted by the
        first one.
      remark: text below the scores.
      metric: name of the figures if they are all of one metric, such as "DSC".
    """

    name: str
    image: Callable[[], np.ndarray]
    mask: Callable[[], np.ndarray]
    truth: Callable[[], np.ndarray]
    scores: dict[str, float]
    remark: str = ""
    metric: str = "DSC"


def build_gallery(pictures: Sequence[Picture]) -> Markup:
    """Build the gallery, best picture first.

    Thumbnails shrink with the number of pictures, so that the page stays below about 10 MB.
    """
    if not pictures:
        return element("p", "There is no picture to show.", class_="faint")
    side = max(_LEAST, round(_SIDE * min(1.0, math.sqrt(_MANY / len(pictures)))))
    keys = list(pictures[0].scores)
    ranked = sorted(pictures, key=lambda picture: -picture.scores[keys[0]])
    choices = [element("option", key, value=_make_slug(key)) for key in [*keys, "name"]]
    controls = element(
        "p",
        element("label", "Sort by ", element("select", *choices, id="sort")),
        element("label", element("input", id="worst-first", type="checkbox"), " worst first"),
        class_="controls needs-script",
    )
    cards = [_build_card(picture, keys, side) for picture in ranked]
    return element("div", controls, element("div", *cards, class_="gallery", id="gallery"))


def build_switches(truth: str = "ground truth", mask: str = "the tool's mask") -> Markup:
    """Build the legend, whose checkboxes hide each outline without a script.

    Args:
      truth, mask: names of the two outlines.
    """
    return element(
        "p",
        element(
            "label",
            element("input", id="show-truth", type="checkbox", checked=True),
            element("i", class_="chip truth"),
            truth,
        ),
        element(
            "label",
            element("input", id="show-mask", type="checkbox", checked=True),
            element("i", class_="chip mask"),
            mask,
        ),
        element("span", "Point at a picture to see it without outlines.", class_="faint"),
        class_="controls switches",
    )


def draw_outlines(picture: Picture, side: int) -> Markup:
    """Draw the image with the outlines of mask and ground truth on top."""
    image = shrink(picture.image(), side)
    lines = []
    box = ""
    for kind, area in (("truth", picture.truth()), ("mask", picture.mask())):
        is_mask = area.dtype == bool
        path, width, height = trace_outline(area) if is_mask else trace_regions(area)
        box = f"0 0 {width} {height}"
        # The many boundaries of regions would fill a page twice over.
        halo = f'<path class="halo" d="{path}"/>' if is_mask else ""
        lines.append(element("g", Markup(f'{halo}<path d="{path}"/>'), class_=kind))
    described = f"{picture.name}, with the outlines of the ground truth and of the tool's mask"
    return element(
        "div",
        embed_picture(image, described),
        element(
            "svg",
            *lines,
            viewBox=box,
            preserveAspectRatio="none",
            class_="lines",
            aria_hidden="true",
        ),
        class_="shot",
    )


def _build_card(picture: Picture, keys: list[str], side: int) -> Markup:
    first, *others = keys
    score = picture.scores
    caption = element(
        "figcaption",
        element("b", f"{score[first]:.1f}", class_="score"),
        " ",
        element("span", picture.name, class_="title"),
        element("br"),
        element("small", ", ".join(f"{k} {score[k]:.1f}" for k in others), class_="faint"),
        *([element("br"), element("small", picture.remark)] if picture.remark else []),
    )
    data = {f"data_{_make_slug(key)}": f"{score[key]:.3f}" for key in keys}
    return element("figure", draw_outlines(picture, side), caption, data_name=picture.name, **data)


def _make_slug(key: str) -> str:
    """Name a score in an attribute ``data-*``, which the script finds in lower case only."""
    return re.sub("[^a-z0-9]", "", key.lower())
