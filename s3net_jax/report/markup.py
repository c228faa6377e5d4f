"""Build HTML from small pieces; plain text is escaped, HTML has its own type."""

from __future__ import annotations

import html
from collections.abc import Iterable

from s3net_jax.text import escape_unseen

__all__ = ["Markup", "element", "join"]


class Markup(str):
    """A string that is already HTML."""

    __slots__ = ()


def join(parts: Iterable[str]) -> Markup:
    """Concatenate pieces; plain strings are escaped, :class:`Markup` is kept."""
    return Markup("".join(p if isinstance(p, Markup) else _escape(p) for p in parts))


def element(tag: str, *children: str, **attributes: object) -> Markup:
    """Build the element ``<tag ...>children</tag>``.

    >>> element("td", "a < b", class_="number", data_x=1)
    '<td class="number" data-x="1">a &lt; b</td>'

    Args:
      tag: lower-case name; ``br``, ``img``, ``input`` and ``meta`` get no end tag.
      children: content, escaped unless it is :class:`Markup`.
      attributes: attribute values. ``class_`` stands for ``class`` and an underscore for a hyphen;
        True writes only the name, False and None omit the attribute.
    """
    text = "".join(
        f" {name}" if value is True else f' {name}="{_escape(value)}"'
        for name, value in ((n.strip("_").replace("_", "-"), v) for n, v in attributes.items())
        if value is not None and value is not False
    )
    if tag in _VOID:
        return Markup(f"<{tag}{text}>")
    return Markup(f"<{tag}{text}>{join(children)}</{tag}>")


def _escape(value: object) -> str:
    """Escape for HTML; invisible and direction-changing characters become visible escapes."""
    return html.escape(escape_unseen(str(value)))


_VOID = {"br", "img", "input", "meta"}
