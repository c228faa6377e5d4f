"""Build a close-up of one image: outlines, clusters, disagreement of seeds, film of the fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image as PilImage

from s3net_jax.io import Film
from s3net_jax.report.curves import draw_history_charts
from s3net_jax.report.film import build_film_strips
from s3net_jax.report.gallery import Picture, draw_outlines
from s3net_jax.report.markup import Markup, element
from s3net_jax.report.overlay import paint_clusters
from s3net_jax.report.pictures import compute_fit_size, embed_picture, shrink

__all__ = ["Closeup", "build_closeup", "draw_disagreement"]

_SIDE = 520  # long side of a panel in pixels
_ORANGE = np.array((230, 110, 0), np.float32)


@dataclass(frozen=True, eq=False)
class Closeup:
    """Content of a close-up. Arrays are loaded by functions, so only one image is in memory.

    Attributes:
      picture: image, outlines and scores.
      labels: function that returns the label map, (H, W) integers.
      agreement: function that returns the agreement of several seeds, (H, W) floats in [0, 1].
      film: function that reads the label maps recorded during the fit.
      histories: function that reads the histories of the fits; see :func:`draw_history_charts`.
    """

    picture: Picture
    labels: Callable[[], np.ndarray]
    agreement: Callable[[], np.ndarray] | None = None
    film: Callable[[], Film] | None = None
    histories: Callable[[], Sequence[Mapping[str, Any]]] | None = None


def build_closeup(one: Closeup) -> Markup:
    """Build the article element of one image."""
    picture = one.picture
    first, *others = picture.scores
    rest = ", ".join(f"{key} {picture.scores[key]:.1f}" for key in others)
    head = element(
        "header",
        element("b", f"{picture.scores[first]:.1f}", class_="score"),
        element("h3", picture.name),
        element("span", f"{first} {picture.metric}".strip() + f"; {rest}", class_="faint"),
        *([element("span", picture.remark, class_="faint")] if picture.remark else []),
    )
    parts = [head, element("div", *_build_panels(one), class_="panels")]
    if one.film is not None:
        parts.append(build_film_strips(one.film()))
    histories = one.histories() if one.histories is not None else []
    if histories:
        parts.append(draw_history_charts(histories[:5]))
    return element("article", *parts)


def draw_disagreement(image: np.ndarray, agreement: np.ndarray, side: int) -> PilImage.Image:
    """Draw the image in grey with orange where the seeds disagree.

    Args:
      image: (H, W, 3) uint8 image.
      agreement: (H, W) agreement in [0, 1]; at 0.5 and below, the orange has full strength.
      side: long side of the result in pixels.
    """
    grey = np.asarray(shrink(image, side).convert("L"), np.float32)[..., None]
    size = compute_fit_size(agreement.shape, side)
    share = PilImage.fromarray(agreement.astype(np.float32))
    share = np.asarray(share.resize(size, PilImage.Resampling.BILINEAR))[..., None]
    strength = np.clip(2 * (1 - share), 0, 1) * 0.9
    pixels = (0.75 * grey + 40) * (1 - strength) + _ORANGE * strength
    return PilImage.fromarray(pixels.astype(np.uint8))


def _build_panels(one: Closeup) -> list[Markup]:
    labels, image = one.labels(), one.picture.image()
    count = len(np.unique(labels))
    size = compute_fit_size(labels.shape, _SIDE)
    flat = PilImage.fromarray(labels.astype(np.int32)).resize(size, PilImage.Resampling.NEAREST)
    clusters = paint_clusters(np.asarray(shrink(image, _SIDE)), np.asarray(flat))
    caption = "1 cluster" if count == 1 else f"{count} clusters"
    panels = [
        _build_panel(
            draw_outlines(one.picture, _SIDE),
            "ground truth and mask" if one.picture.metric else "segments of one person and regions",
        ),
        _build_panel(
            _build_image(PilImage.fromarray(clusters), f"{caption} of {one.picture.name}", True),
            caption,
        ),
    ]
    if one.agreement is not None:
        share = one.agreement()
        text = f"{100 * float(share.mean()):.0f} % agreement of the seeds; orange where they differ"
        panels.append(
            _build_panel(_build_image(draw_disagreement(image, share, _SIDE), text), text)
        )
    return panels


def _build_panel(content: Markup, caption: str) -> Markup:
    return element("figure", content, element("figcaption", caption))


def _build_image(picture: PilImage.Image, alt: str, screen: bool = False) -> Markup:
    shown = embed_picture(picture, alt, class_="screen" if screen else None)
    return element("div", shown, class_="shot")
