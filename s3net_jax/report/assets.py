"""Load the style sheets and scripts of pages from ``static/``."""

from __future__ import annotations

from importlib import resources

__all__ = ["REVIEW_SCRIPT", "REVIEW_STYLE", "SCRIPT", "STYLE"]


def _read(*names: str) -> str:
    folder = resources.files("s3net_jax.report").joinpath("static")
    return "".join(folder.joinpath(name).read_text(encoding="utf-8") for name in names)


STYLE = _read("base.css", "plots.css", "pictures.css", "print.css")
"""Style sheet for light and dark mode, wide screens, phones and A4 paper."""

SCRIPT = _read("common.js", "page.js")
"""Script that sorts the gallery, enlarges its pictures and plays films; pages work without it."""

REVIEW_STYLE = _read("base.css", "pictures.css", "print.css", "review.css")
"""Style sheet of the page on which a person reviews results."""

REVIEW_SCRIPT = _read("common.js", "labels.js", "marks.js", "viewer.js", "review.js")
"""Script with which a person picks clusters and marks results; the pictures show without it."""
