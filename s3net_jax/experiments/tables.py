"""Write the files of an experiment, and format its tables as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from s3net_jax.csv_text import format_csv
from s3net_jax.evaluate import METRICS
from s3net_jax.experiments.summary import BLIND_FIRST, Table
from s3net_jax.io import write_bytes, write_text
from s3net_jax.report import build_experiment_page
from s3net_jax.schema import GridRow, GridSummary, MeanRecord, write_json
from s3net_jax.text import escape_unseen

__all__ = [
    "align_columns",
    "format_difference",
    "format_interval",
    "format_markdown",
    "format_tables",
    "make_cells",
    "write_tables",
]

_PAPER = ("dsc", "hm", "xor")


def write_tables(folder: Path, summary: GridSummary, tables: dict[str, Table]) -> None:
    """Write ``table.csv``, ``table.md``, ``summary.json`` and ``report.html``, each atomically."""
    write_bytes(folder / "table.csv", format_csv(_HEAD, _make_csv_rows(tables.values())))
    write_text(folder / "table.md", _make_page(summary, tables))
    write_json(folder / "summary.json", summary)
    blind = {name: table.blind for name, table in tables.items()}
    write_text(folder / "report.html", build_experiment_page(summary, blind))


_HEAD = (
    *("data", "method", "protocol", "images", "seconds"),
    *(f"{metric}{part}" for metric in METRICS for part in ("", "_low", "_high")),
    *(f"paper_{metric}" for metric in _PAPER),
    *("difference", "difference_low", "difference_high", "p_value"),
)


def _make_csv_rows(tables: Iterable[Table]) -> Iterable[list[str]]:
    """Yield a row for each data set, method and protocol.

    The paper's values and the difference from the reference are only in rows ``blind``.
    """
    for table in tables:
        for row in table.rows:
            paper = [_format_figure(row["paper"].get(metric), 1) for metric in _PAPER]
            protocols = row.get("protocols")
            if protocols is None:
                blank = [""] * (2 + 3 * len(METRICS))
                yield [table.data, row["method"], "", *blank, *paper, "", "", "", ""]
                continue
            for protocol in BLIND_FIRST:
                found = protocols[protocol]
                figures = [
                    _format_figure(found[metric][part])
                    for metric in METRICS
                    for part in ("mean", "low", "high")
                ]
                first = protocol == "blind"
                other = (row.get("difference") if first else None) or {}
                apart = [_format_figure(other.get(part)) for part in ("mean", "low", "high")]
                p = "" if "p_value" not in other else f"{other['p_value']:.3g}"
                head = [table.data, row["method"], protocol, str(row.get("images"))]
                head.append(f"{row.get('seconds', 0):.3f}")
                yield [*head, *figures, *(paper if first else ["", "", ""]), *apart, p]


def _format_figure(value: float | None, digits: int = 3) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _make_page(summary: GridSummary, tables: dict[str, Table]) -> str:
    state = summary["evaluations"]
    parts = [f"# {escape_unseen(summary['title'])}\n"]
    if state["done"] < state["of"]:
        parts.append(f"Not finished: {state['done']} of {state['of']} evaluations are done.\n")
    parts.append(
        f"Mean DSC in percent with 95 % bootstrap interval. Difference: blind DSC of "
        f"*{escape_unseen(summary['reference'])}* minus that of the row, paired by image; p: "
        "Wilcoxon signed-rank test. Do not compare the paper's values, whose protocol is not "
        "stated, with blind ones.\n"
    )
    for name, table in tables.items():
        parts.append(f"## {escape_unseen(name)}\n")
        head, rows = make_cells(table.rows)
        parts.append(format_markdown(head, rows))
    return "\n".join(parts)


def make_cells(found: list[GridRow]) -> tuple[list[str], list[list[str]]]:
    """Make head and rows of a readable table; columns of the paper only where it has values."""
    shown = [m for m in _PAPER if any(m in row["paper"] for row in found)]
    head = ["method", *BLIND_FIRST, *(f"paper {metric.upper()}" for metric in shown)]
    head += ["difference", "p", "seconds", "images"]
    rows = []
    for row in found:
        paper = [_format_figure(row["paper"].get(metric), 1) for metric in shown]
        protocols = row.get("protocols")
        if protocols is None:
            rows.append([row["method"], *[""] * len(BLIND_FIRST), *paper, *[""] * 4])
            continue
        means = [format_interval(protocols[protocol]["dsc"]) for protocol in BLIND_FIRST]
        other = row.get("difference")
        apart = ["", ""] if other is None else [format_difference(other), f"{other['p_value']:.2g}"]
        more = [f"{row.get('seconds', 0):.2f}", str(row.get("images"))]
        rows.append([row["method"], *means, *paper, *apart, *more])
    return head, rows


def format_interval(found: MeanRecord) -> str:
    """Format as ``mean (low–high)``."""
    return f"{found['mean']:.1f} ({found['low']:.1f}–{found['high']:.1f})"


def format_difference(found: MeanRecord) -> str:
    """Format as ``+mean (+low to +high)``."""
    return f"{found['mean']:+z.1f} ({found['low']:+z.1f} to {found['high']:+z.1f})"


def format_markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Format a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    shown = ([escape_unseen(cell).replace("|", "∣") for cell in cells] for cells in lines)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in shown)


def format_tables(tables: dict[str, Table]) -> str:
    """Format the tables of :func:`write_tables` for a terminal."""
    found = ((escape_unseen(name), make_cells(table.rows)) for name, table in tables.items())
    return "\n\n".join(f"{name}\n{align_columns(*shown)}" for name, shown in found)


def align_columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a table with aligned columns for a terminal."""
    lines = [[escape_unseen(cell) for cell in line] for line in (head, *rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(head))]
    text = []
    for line in lines:
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        text.append("  ".join(cells).rstrip())
    return "\n".join(text)
