"""Escape text for display and for files.

File names may contain invalid UTF-8 (which Python keeps as lone surrogates), line breaks, terminal
escape sequences, and characters that change the writing direction. All of these are shown as
backslash escapes: ``\\udcef``, ``\\n``, ``\\x1b``, ``\\u202e``.
"""

from __future__ import annotations

import json
import re
import unicodedata

__all__ = [
    "encode",
    "escape",
    "escape_unseen",
    "format_duration",
    "format_json_line",
    "replace_undrawable",
    "unescape",
]

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_LONG = {short: char for char, short in _SHORT.items()}

# Unicode categories of invisible characters: control, format (including bidirectional ones),
# surrogate, line separator, paragraph separator.
_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")

# Format characters that are part of words: joiners of Persian, Indic scripts and emoji, and the
# number signs of Arabic, Syriac and Kaithi.
_SPELLED = frozenset(
    "\u200c\u200d\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2"
    "\U000110bd\U000110cd"
)
# Blank letters and marks: Hangul fillers, the combining grapheme joiner.
_BLANK = frozenset("\u034f\u115f\u1160\u3164\uffa0")

_ESCAPE = re.compile(r"\\(\\|[nrt]|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})")


def escape_unseen(text: str) -> str:
    """Replace invisible characters by backslash escapes."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape_char(char) if _is_unseen(char) else char for char in text)


def escape(text: str) -> str:
    """Escape like :func:`escape_unseen` and double backslashes, so :func:`unescape` can undo it."""
    return escape_unseen(text.replace("\\", "\\\\"))


def unescape(text: str) -> str:
    """Return the text that :func:`escape` was called with."""
    return _ESCAPE.sub(_unescape_match, text) if "\\" in text else text


def encode(text: str) -> bytes:
    """Encode text as UTF-8 for a file; lone surrogates become escapes such as ``\\udcef``.

    JSON uses the same escape, so a JSON file restores the original text.
    """
    return text.encode("utf-8", "backslashreplace")


def format_json_line(content: object) -> str:
    """Return ``content`` as one line of ASCII JSON, independent of the encoding of a stream."""
    return json.dumps(content)


def format_duration(seconds: float) -> str:
    """Format a duration as ``4.2 s``, ``2 min 05 s`` or ``1 h 02 min``."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def replace_undrawable(text: str) -> str:
    """Replace characters that Pillow's built-in font cannot draw in one line by ``?``."""
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
