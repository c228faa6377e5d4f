"""Build film strips: frames side by side, which a script can play."""

from __future__ import annotations

import numpy as np
from PIL import Image as PilImage

from s3net_jax.io import Film, Strip, make_cluster_colors
from s3net_jax.report.markup import Markup, element
from s3net_jax.report.pictures import embed_picture

__all__ = ["build_film_strips"]

_COLORS = 240  # palette size of a film; must match s3net_jax.io.write_film


def build_film_strips(film: Film, most: int = 3) -> Markup:
    """Build the first ``most`` strips of a film, each frame with its title.

    The script plays a strip on the ``.screen`` of the article that contains it.
    """
    return element("div", *map(_build_strip, film.strips[:most]), class_="film")


def _build_strip(strip: Strip) -> Markup:
    frames = [
        element(
            "figure",
            embed_picture(
                _draw_frame(frame), f"{strip.name}, {title}: {_count_clusters(count)}", "PNG"
            ),
            element(
                "figcaption",
                title,
                element("br"),
                element("small", _count_clusters(count), class_="faint"),
            ),
        )
        for title, count, frame in zip(strip.titles, strip.counts, strip.frames, strict=True)
    ]
    head = element(
        "p",
        element("span", strip.name),
        element("button", "▶ play", type="button", class_="play needs-script"),
        class_="controls",
    )
    box = element("div", *frames, class_="frames", tabindex=0, role="group", aria_label=strip.name)
    return element("div", head, box, class_="reel")


def _count_clusters(count: int) -> str:
    return "1 cluster" if count == 1 else f"{count} clusters"


def _draw_frame(frame: np.ndarray) -> PilImage.Image:
    picture = PilImage.fromarray(frame.astype(np.uint8))
    picture.putpalette(make_cluster_colors(_COLORS).tobytes())
    return picture
