"""How pages look and what they can do: the files of ``static/``, as they stand in a page."""

from __future__ import annotations

from importlib import resources

__all__ = ["SCRIPT", "STYLE"]


def _read(name: str) -> str:
    return resources.files("s3net_jax.report").joinpath("static", name).read_text(encoding="utf-8")


STYLE = "".join(map(_read, ("base.css", "plots.css", "pictures.css", "print.css")))
"""One style sheet for light and dark, a wide screen, a phone and A4 paper."""

SCRIPT = _read("page.js")
"""Sorts the gallery, enlarges its pictures, plays films; a page is whole without it."""
