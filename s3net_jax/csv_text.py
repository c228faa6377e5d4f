"""CSV files that a spreadsheet shows as they are: no cell is a formula, none hides a character."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

from s3net_jax.text import encode, escape, unescape

__all__ = ["format_csv", "parse_csv"]

# Spreadsheets compute a cell that begins with one of these; full-width forms too, and some pass
# over blanks. Tab and return are escaped, but a file that holds them is understood all the same.
_FORMULA = re.compile(r"'*\s*[=+\-@\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")


def format_csv(head: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """A CSV file in UTF-8, without a byte-order mark, which many programs take for part of the
    first name.

    Text that a spreadsheet would compute has an apostrophe in front; characters that can't be
    seen are backslash escapes (:func:`escape`). Numbers stay as they are.

    Args:
      head: names of the columns.
      rows: a cell for each column.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([_format_cell(cell) for cell in row] for row in (head, *rows))
    return encode(text.getvalue())


def parse_csv(content: bytes) -> list[dict[str, str]]:
    """The rows of a file that :func:`format_csv` wrote, by column; each cell as it was given.

    Raises:
      ValueError: the file is not UTF-8, or is no CSV.
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
        raise ValueError(f"a row has not the {len(head)} cells of the head")
    return [dict(zip(head, map(_parse_cell, row), strict=True)) for row in rows]


def _format_cell(cell: str) -> str:
    cell = escape(cell)
    if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


def _parse_cell(cell: str) -> str:
    if cell.startswith("'") and _FORMULA.match(cell):
        cell = cell[1:]
    return unescape(cell)
