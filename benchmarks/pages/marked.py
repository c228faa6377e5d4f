"""Parts of a Markdown page that a program writes, between two comments."""

from __future__ import annotations

__all__ = ["replace_marked"]


def replace_marked(text: str, name: str, body: str) -> str:
    """``text`` with ``body`` between ``<!-- NAME: start -->`` and ``<!-- NAME: end -->``.

    Raises:
      ValueError: the page has no such part.
    """
    start, end = f"<!-- {name}: start -->\n", f"<!-- {name}: end -->\n"
    before, found, rest = text.partition(start)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"The page has no part {name!r}: write {start}{end} where it belongs.")
    return f"{before}{start}\n{body}\n{end}{after}"
