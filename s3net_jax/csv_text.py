"""CSV files that are safe to open in a spreadsheet: no formulas, no invisible characters."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

from s3net_jax.text import encode, escape, unescape

__all__ = ["format_cell", "format_csv", "parse_csv"]

# Spreadsheets evaluate a cell that starts with one of these characters or their full-width forms;
# some skip leading blanks. Tab and return are escaped on writing, and accepted when read.
_FORMULA = re.compile(r"'*\s*[=+\-@\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")


def format_csv(head: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """Format a CSV file in UTF-8.

    There is no byte-order mark, since many programs read it as part of the first column name. Text
    that a spreadsheet would evaluate gets a leading apostrophe; invisible characters become
    backslash escapes (:func:`escape`). Numbers are unchanged.

    Args:
      head: names of the columns.
      rows: rows with one cell per column.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([format_cell(cell) for cell in row] for row in (head, *rows))
    return encode(text.getvalue())


def parse_csv(content: bytes) -> list[dict[str, str]]:
    """Parse a file written by :func:`format_csv` into rows by column name, without the escapes.

    Raises:
      ValueError: the file is not UTF-8 or not valid CSV.
    """
    text = content.decode("utf-8-sig")
    try:
        found = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise ValueError(str(error)) from None
    if not found:
        return []
    head = [_parse_cell(cell) for cell in found[0]]
    rows = [row for row in found[1:] if row]
    if any(len(row) != len(head) for row in rows):
        raise ValueError(f"a row does not have {len(head)} cells like the header")
    return [dict(zip(head, map(_parse_cell, row), strict=True)) for row in rows]


def format_cell(cell: str) -> str:
    """Escape one cell as :func:`format_csv` does, without the quotation marks of CSV."""
    cell = escape(cell)
    if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


def _parse_cell(cell: str) -> str:
    if cell.startswith("'") and _FORMULA.match(cell):
        cell = cell[1:]
    return unescape(cell)
