"""CSV files that are safe to open in a spreadsheet: no formulas, no invisible characters."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from s3net_jax.text import encode, escape, unescape

__all__ = ["Row", "format_cell", "format_csv", "parse_csv", "parse_sheet"]

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


class Row(NamedTuple):
    """A row of a table that a person wrote.

    Attributes:
      line: number of its first line in the file, from 1.
      cells: column name in lower case → text without surrounding blanks.
    """

    line: int
    cells: dict[str, str]


def parse_sheet(content: bytes, required: Sequence[str], optional: Sequence[str] = ()) -> list[Row]:
    """Parse a CSV file that a person wrote or a spreadsheet exported.

    A byte-order mark, and semicolons or tabs instead of commas, are accepted. Column names may be
    in any order and case; other columns are ignored, and so are rows without any text.

    Args:
      content: content of the file.
      required: names of the columns that must exist.
      optional: names of columns that may be missing; their cells are then empty.

    Raises:
      ValueError: the file is not UTF-8 or not valid CSV, or a column is missing; the message is a
        clause that names the line.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text: save it as CSV UTF-8") from None
    first = text.split("\n", 1)[0]
    # The header has no commas within names, so the most frequent separator separates its cells.
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    head: list[str] = []
    rows: list[Row] = []
    line = 1
    try:
        for cells in reader:
            cells = [_parse_typed(cell) for cell in cells]
            if not head:
                head = [cell.lower() for cell in cells]
                _check_head(head, required)
            elif any(cells):
                named = _name_cells(head, cells, line, delimiter)
                names = (*required, *optional)
                rows.append(Row(line, {name: named.get(name, "") for name in names}))
            line = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"line {line}: {error}") from None
    if not head:
        raise ValueError("it is empty")
    return rows


def _check_head(head: list[str], required: Sequence[str]) -> None:
    missing = [name for name in required if name not in head]
    if missing:
        found = ", ".join(name or '""' for name in head)
        raise ValueError(f"line 1: the column {missing[0]} is missing; found: {found}")
    twice = [name for name in head if name and head.count(name) > 1]
    if twice:
        raise ValueError(f"line 1: there are two columns {twice[0]}")


def _name_cells(head: list[str], cells: list[str], line: int, delimiter: str) -> dict[str, str]:
    if any(cells[len(head) :]):
        sign = {",": "commas", ";": "semicolons", "\t": "tabs"}[delimiter]
        raise ValueError(
            f"line {line}: it has {len(cells)} cells, but the header has {len(head)}; put text "
            f'with {sign} in double quotes, such as "label:2,3"'
        )
    return dict(zip(head, cells, strict=False))


def _parse_typed(cell: str) -> str:
    """Strip a cell; remove the apostrophe that :func:`format_csv` puts before a formula."""
    cell = cell.strip()
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


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
