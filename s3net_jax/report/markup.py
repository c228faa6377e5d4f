"""HTML in small pieces: what is text is escaped, what is HTML says so by its type."""

from __future__ import annotations

import html
from collections.abc import Iterable

from s3net_jax.text import escape_unseen

__all__ = ["Markup", "element", "join"]


class Markup(str):
    """A string that is HTML already."""

    __slots__ = ()


def join(parts: Iterable[str]) -> Markup:
    """Pieces one after the other; plain strings are escaped, :class:`Markup` is kept."""
    return Markup("".join(p if isinstance(p, Markup) else _escape(p) for p in parts))


def element(tag: str, *children: str, **attributes: object) -> Markup:
    """``<tag ...>children</tag>``.

    >>> element("td", "a < b", class_="number", data_x=1)
    '<td class="number" data-x="1">a &lt; b</td>'

    Args:
      tag: with lower-case letters; ``img``, ``input``, ``line`` and the like stand without an end.
      children: escaped unless they are :class:`Markup`.
      attributes: ``class_`` stands for ``class``, an underscore for a hyphen; True gives the bare
        name, False and None leave it out.
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
    """Escaped for HTML; what can't be seen, or turns the direction of text, as an escape."""
    return html.escape(escape_unseen(str(value)))


_VOID = {"br", "img", "input", "meta"}
