"""A page of one file, that needs no network: its frame, its sections, its look."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping

from s3net_jax.report.assets import STYLE
from s3net_jax.report.markup import Markup, element, join

__all__ = [
    "TABLE_FILES",
    "build_document",
    "build_links",
    "build_section",
    "build_tiles",
    "link_files",
]

TABLE_FILES = {
    "table.csv": "every figure, for spreadsheets",
    "table.md": "the tables as text",
    "summary.json": "the tables, configuration and versions, for programs",
}
"""What an experiment writes beside its page."""


def build_document(title: str, parts: Iterable[str], *, script: str = "") -> str:
    """A whole HTML page.

    Args:
      title: of the window.
      parts: of the body, see :func:`build_section`; the page's heading among them.
      script: JavaScript, run when the page is there; the page must make sense without it.
    """
    head = join(
        [
            Markup('<meta charset="utf-8">'),
            element("meta", http_equiv="Content-Security-Policy", content=_build_policy(script)),
            element("title", title),
            Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
            Markup('<meta name="color-scheme" content="light dark">'),
            Markup(f"<style>{STYLE}</style>"),
        ]
    )
    body = [element("main", join(parts))]
    if script:
        body.append(Markup(f"<script>{script}</script>"))
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{join(body)}</body></html>\n'


def _build_policy(script: str) -> str:
    """What a browser may load and run for a page: pictures within it, its own style, this script
    and no other; nothing from a network, whatever the names in it try."""
    rules = ["default-src 'none'", "img-src data:", "style-src 'unsafe-inline'"]
    if script:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        rules.append(f"script-src 'sha256-{digest}'")
    return "; ".join([*rules, "base-uri 'none'", "form-action 'none'"])


def build_section(heading: str, *parts: str, about: str = "", anchor: str = "") -> Markup:
    """A part of the page under a heading of its own, with a sentence ``about`` it; ``anchor`` is
    the name that links to it use."""
    said = [element("p", about, class_="faint")] if about else []
    return element("section", element("h2", heading), *said, *parts, id=anchor or None)


def build_links(names: Mapping[str, str]) -> Markup:
    """A line of links: anchor → text."""
    return element(
        "nav",
        *(element("a", text, href=f"#{anchor}") for anchor, text in names.items()),
        aria_label="Parts of this page",
    )


def link_files(files: Mapping[str, str]) -> Markup:
    """Links to files beside the page.

    Args:
      files: file name → what the file holds, as a phrase.
    """
    items = [
        element("li", element("a", name, href=name), f": {content}.")
        for name, content in files.items()
    ]
    return build_section("Files", element("ul", *items))


def build_tiles(figures: dict[str, tuple[str, str]]) -> Markup:
    """What a reader should see first: name → the figure in large, and a remark below it."""
    return element(
        "dl",
        *(
            element(
                "div",
                element("dt", name),
                element("dd", element("b", figure), element("span", remark, class_="faint")),
            )
            for name, (figure, remark) in figures.items()
        ),
        class_="tiles",
    )
