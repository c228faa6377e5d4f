"""Text for a line of a terminal, and for a picture: names of files may hold anything."""

from __future__ import annotations

import unicodedata

__all__ = ["drawable", "one_line"]


def one_line(text: str) -> str:
    """``text`` with ``?`` for ends of lines and other control characters."""
    broken = ("Cc", "Zl", "Zp")
    return "".join("?" if unicodedata.category(c) in broken else c for c in text)


def drawable(text: str) -> str:
    """``text`` with ``?`` for all that Pillow's own font can't show in one line."""
    return one_line(text.encode("ascii", "replace").decode())
