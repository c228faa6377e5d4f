"""Load the style sheet and script of pages from ``static/``."""

from __future__ import annotations

from importlib import resources

__all__ = ["SCRIPT", "STYLE"]


def _read(name: str) -> str:
    return resources.files("s3net_jax.report").joinpath("static", name).read_text(encoding="utf-8")


STYLE = "".join(map(_read, ("base.css", "plots.css", "pictures.css", "print.css")))
"""Style sheet for light and dark mode, wide screens, phones and A4 paper."""

SCRIPT = _read("page.js")
"""Script that sorts the gallery, enlarges its pictures and plays films; pages work without it."""
