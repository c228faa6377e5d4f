"""Text that a person reads, and the bytes of a text file: names of files may hold anything.

A file name can hold bytes that are not UTF-8 (Python keeps each as a lone surrogate), ends of
lines, escape sequences that a terminal obeys, and characters that turn the direction of what
follows. Every one of them is shown as a backslash escape: ``\\udcef``, ``\\n``, ``\\x1b``,
``\\u202e``.
"""

from __future__ import annotations

import json
import re
import unicodedata

__all__ = [
    "encode",
    "escape",
    "escape_unseen",
    "format_json_line",
    "replace_undrawable",
    "unescape",
]

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_LONG = {short: char for char, short in _SHORT.items()}

# Categories of characters without a look of their own: controls, formats (bidirectional ones
# among them), surrogates, separators of lines and paragraphs.
_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")

# Formats that belong to words: joiners of Persian, Indic scripts and emoji, and the signs that
# Arabic, Syriac and Kaithi write around numbers.
_SPELLED = frozenset(
    "\u200c\u200d\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2"
    "\U000110bd\U000110cd"
)
# Letters and marks that are blank: fillers of Hangul, the grapheme joiner.
_BLANK = frozenset("\u034f\u115f\u1160\u3164\uffa0")

_ESCAPE = re.compile(r"\\(\\|[nrt]|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})")


def escape_unseen(text: str) -> str:
    """``text`` with every character that has no look of its own as a backslash escape."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape_char(char) if _is_unseen(char) else char for char in text)


def escape(text: str) -> str:
    """Escape as :func:`escape_unseen`, with backslashes doubled, for :func:`unescape`."""
    return escape_unseen(text.replace("\\", "\\\\"))


def unescape(text: str) -> str:
    """What :func:`escape` was given."""
    return _ESCAPE.sub(_unescape_match, text) if "\\" in text else text


def encode(text: str) -> bytes:
    """``text`` as UTF-8, for a file; lone surrogates become ``\\udcef``.

    In JSON this is the surrogate's own escape: what is read is what was written.
    """
    return text.encode("utf-8", "backslashreplace")


def format_json_line(content: object) -> str:
    """``content`` as JSON in one line, in ASCII: whatever the alphabet of a stream or a locale, a
    program reads what was meant."""
    return json.dumps(content)


def replace_undrawable(text: str) -> str:
    """``text`` with ``?`` for all that Pillow's own font can't show in one line."""
    ascii_only = text.encode("ascii", "replace").decode()
    return "".join(char if char.isprintable() else "?" for char in ascii_only)


def _is_unseen(char: str) -> bool:
    return char in _BLANK or (unicodedata.category(char) in _UNSEEN and char not in _SPELLED)


def _escape_char(char: str) -> str:
    number = ord(char)
    if number < 0x100:
        return _SHORT.get(char, f"\\x{number:02x}")
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _unescape_match(found: re.Match[str]) -> str:
    code = found[1]
    if code == "\\":
        return code
    if found[0] in _LONG:
        return _LONG[found[0]]
    number = int(code[1:], 16)
    return chr(number) if number < 0x110000 else found[0]
