"""Write the measures of many results as one table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from s3net_jax.csv_text import format_csv
from s3net_jax.measure.regions import FLAT, SOLID, VALUES, Row

__all__ = ["HEAD", "format_table", "round_row"]

HEAD = ("name", "input")
"""First columns of a table, which name the result and its input."""

_ORDER = (*HEAD, "cluster", "is_target", "instance", "width_px", "height_px", "slices")
_DIGITS = 6
"""Significant digits of a measure: more than any outline is certain to, and few enough to read."""


def round_row(row: Mapping[str, float | int | str | None]) -> Row:
    """Round the floating-point numbers of a row to six significant digits."""
    return {
        name: float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value
        for name, value in row.items()
    }


def format_table(rows: Sequence[Mapping[str, float | int | str | None]]) -> bytes:
    """Format rows as CSV, in the order given; unknown and undefined measures are empty cells.

    The columns are those of the kinds of rows that occur (images, volumes, colours, values), in one
    fixed order. Cells that a spreadsheet would evaluate are made harmless, and there is no
    byte-order mark, as in every table of this package (:func:`s3net_jax.csv_text.format_csv`).
    """
    present = {*HEAD, *(name for row in rows for name in row)}
    known = dict.fromkeys((*_ORDER, *FLAT, *SOLID, *VALUES))
    columns = [name for name in known if name in present]
    return format_csv(columns, _format_rows(columns, rows))


def _format_rows(
    columns: Sequence[str], rows: Iterable[Mapping[str, float | int | str | None]]
) -> Iterable[list[str]]:
    return ([_format_cell(row.get(name)) for name in columns] for row in rows)


def _format_cell(value: float | int | str | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):  # without an exponent, which some spreadsheets read as text
        return np.format_float_positional(value, trim="-")
    return str(value)
