"""Replace the generated parts of a Markdown page, which are marked by two comments."""

from __future__ import annotations

__all__ = ["replace_marked"]


def replace_marked(text: str, name: str, body: str) -> str:
    """Put ``body`` between ``<!-- NAME: start -->`` and ``<!-- NAME: end -->`` in ``text``.

    Raises:
      ValueError: if the page has no part of that name.
    """
    start, end = f"<!-- {name}: start -->\n", f"<!-- {name}: end -->\n"
    before, found, rest = text.partition(start)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"The page has no part {name!r}: add {start}{end} where it belongs.")
    return f"{before}{start}\n{body}\n{end}{after}"
