"""A page as a strict reader sees it."""

from __future__ import annotations

from html.parser import HTMLParser

__all__ = ["Reader", "read_page"]

_VOID = {"br", "img", "input", "meta"}
_OPTIONAL = {"circle", "line", "rect", "path", "polyline"}  # written as <circle .../>


class Reader(HTMLParser):
    """Every tag with its attributes, and the text; refuses tags that do not match."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs), f"<{tag}> has an attribute twice"
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in _OPTIONAL, f"<{tag}/> is no HTML"
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open and self._open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of every ``tag``."""
        return [attributes for name, attributes in self.tags if name == tag]


def read_page(page: str) -> Reader:
    """Reads a page; it must be whole, and load nothing from anywhere."""
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert not reader._open, f"never closed: {reader._open}"
    for tag, attributes in reader.tags:
        assert tag not in ("link", "iframe", "object", "base"), f"<{tag}> fetches"
        for name in ("src", "href", "srcset", "poster", "data"):
            value = attributes.get(name) or "data:"
            is_beside = tag == "a" and "/" not in value and ":" not in value
            local = is_beside or value.startswith(("data:", "#"))
            assert local, f"<{tag} {name}={value[:60]}> fetches"
    for word in ("url(", "@import", "fetch(", "XMLHttpRequest", "import("):
        assert word not in page, f"{word} fetches"
    ids = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert len(ids) == len(set(ids)), "an id stands twice"
    return reader
