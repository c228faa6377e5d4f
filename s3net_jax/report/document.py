"""Build self-contained HTML pages: the document, its sections and its style."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterable, Mapping
from urllib.parse import quote

from s3net_jax.report.assets import STYLE
from s3net_jax.report.markup import Markup, element, join

__all__ = [
    "TABLE_FILES",
    "build_document",
    "build_links",
    "build_section",
    "build_tiles",
    "link_files",
    "quote_link",
]

TABLE_FILES = {
    "table.csv": "every figure, for spreadsheets",
    "table.md": "the tables as text",
    "summary.json": "the tables, configuration and versions, for programs",
}
"""Files that an experiment writes beside its page, with their descriptions."""


def build_document(
    title: str,
    parts: Iterable[str],
    *,
    script: str = "",
    style: str = STYLE,
    generator: str = "s3net-jax",
) -> str:
    """Build a complete HTML page.

    Args:
      title: title of the window.
      parts: elements of the body, including the page's heading; see :func:`build_section`.
      script: JavaScript that runs after the page has loaded; the page must work without it.
      style: style sheet.
      generator: name of what wrote the page, by which a later run recognises it.
    """
    head = join(
        [
            Markup('<meta charset="utf-8">'),
            element("meta", http_equiv="Content-Security-Policy", content=_build_policy(script)),
            element("meta", name="generator", content=generator),
            element("title", title),
            Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
            Markup('<meta name="color-scheme" content="light dark">'),
            Markup(f"<style>{style}</style>"),
        ]
    )
    body = [element("main", join(parts))]
    if script:
        body.append(Markup(f"<script>{script}</script>"))
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{join(body)}</body></html>\n'


def _build_policy(script: str) -> str:
    """Build the content security policy of a page.

    It allows embedded pictures, inline style and exactly this script, and nothing from the network,
    so that text from untrusted file names cannot run or load anything.
    """
    rules = ["default-src 'none'", "img-src data:", "style-src 'unsafe-inline'"]
    if script:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        rules.append(f"script-src 'sha256-{digest}'")
    return "; ".join([*rules, "base-uri 'none'", "form-action 'none'"])


def build_section(heading: str, *parts: str, about: str = "", anchor: str = "") -> Markup:
    """Build a section of the page.

    Args:
      heading: heading of the section.
      parts: elements of the section.
      about: introductory sentence; empty for none.
      anchor: id of the section for links; empty for none.
    """
    introduction = [element("p", about, class_="faint")] if about else []
    return element("section", element("h2", heading), *introduction, *parts, id=anchor or None)


def build_links(names: Mapping[str, str]) -> Markup:
    """Build a line of links to sections.

    Args:
      names: anchor → link text.
    """
    return element(
        "nav",
        *(element("a", text, href=f"#{anchor}") for anchor, text in names.items()),
        aria_label="Parts of this page",
    )


def link_files(files: Mapping[str, str]) -> Markup:
    """Build a section of links to files beside the page.

    Args:
      files: file name → description of its content, as a phrase.
    """
    items = [
        element("li", element("a", name, href=quote_link(name)), f": {content}.")
        for name, content in files.items()
    ]
    return build_section("Files", element("ul", *items))


def quote_link(name: str) -> str:
    """Quote the name of a file beside the page for ``href``; names may contain any bytes."""
    return quote(os.fsencode(name), safe="")


def build_tiles(figures: dict[str, tuple[str, str]]) -> Markup:
    """Build tiles of the main figures.

    Args:
      figures: name → (figure in large type, remark below it).
    """
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
