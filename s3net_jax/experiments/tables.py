"""Write the files of an experiment, and format its tables as text."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from s3net_jax.criteria import TARGET, Criteria
from s3net_jax.csv_text import format_csv
from s3net_jax.experiments.summary import Table
from s3net_jax.io import write_bytes, write_text
from s3net_jax.report import build_experiment_page, describe_training
from s3net_jax.schema import GridRow, GridSummary, MeanRecord, write_json
from s3net_jax.text import escape_unseen

__all__ = [
    "align_columns",
    "format_difference",
    "format_interval",
    "format_markdown",
    "format_seeds",
    "format_tables",
    "make_cells",
    "write_tables",
]


def write_tables(folder: Path, summary: GridSummary, tables: dict[str, Table]) -> None:
    """Write ``table.csv``, ``table.md``, ``summary.json`` and ``report.html``, each atomically."""
    write_bytes(folder / "table.csv", format_csv(*_make_csv(tables.values())))
    write_text(folder / "table.md", _make_page(summary, tables))
    write_json(folder / "summary.json", summary)
    main = {name: table.main for name, table in tables.items()}
    criteria = {name: table.criteria for name, table in tables.items()}
    write_text(folder / "report.html", build_experiment_page(summary, main, criteria))


def _make_csv(tables: Collection[Table]) -> tuple[list[str], list[list[str]]]:
    """Make the header, and a row for each data set, method and protocol.

    The paper's values, the difference from the reference, and the lowest and highest figure among
    the evaluations of a method are only in the rows of the most important protocol. Cells of
    metrics that a data set does not have are empty.
    """
    kinds = list(dict.fromkeys(table.criteria for table in tables))
    metrics = [metric for criteria in kinds for metric in criteria.metrics]
    paper = [metric for criteria in kinds for metric in criteria.paper]
    head = [
        *("data", "method", "protocol", "images", "seconds"),
        *(f"{metric}{part}" for metric in metrics for part in ("", "_low", "_high")),
        *(f"paper_{metric}" for metric in paper),
        *("difference", "difference_low", "difference_high", "p_value"),
        *("lowest_seed", "highest_seed"),
    ]
    return head, [
        _make_csv_row(table, row, protocol, metrics, paper)
        for table in tables
        for row in table.rows
        for protocol in (table.criteria.ranked_protocols if "protocols" in row else ("",))
    ]


def _make_csv_row(
    table: Table, row: GridRow, protocol: str, metrics: Sequence[str], paper: Sequence[str]
) -> list[str]:
    """Make the cells of one row; ``protocol`` is empty for a method that only the paper has."""
    is_first = protocol in ("", table.criteria.protocol)
    found = row.get("protocols", {}).get(protocol, {})
    figures: list[str] = []
    for metric in metrics:
        mean = found.get(metric)
        parts = ("mean", "low", "high")
        figures += [_format_figure(mean[part]) if mean else "" for part in parts]
    printed = row["paper"] if is_first else {}
    values = [_format_paper(printed.get(metric), table.criteria, metric) for metric in paper]
    other = (row.get("difference") if is_first else None) or {}
    apart = [_format_figure(other.get(part)) for part in ("mean", "low", "high")]
    p = "" if "p_value" not in other else f"{other['p_value']:.3g}"
    counts = [str(row.get("images")), f"{row.get('seconds', 0):.3f}"] if protocol else ["", ""]
    seeds = row.get("by_seed", {}).values() if is_first else ()
    ends = [_format_figure(end(seeds)) if seeds else "" for end in (min, max)]
    return [table.data, row["method"], protocol, *counts, *figures, *values, *apart, p, *ends]


def _format_figure(value: float | None, digits: int = 3) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _format_paper(value: float | None, criteria: Criteria, metric: str) -> str:
    """Format a published value with the digits that the metric has in tables."""
    return "" if value is None else _format_figure(value, criteria.metrics[metric].digits)


def _make_page(summary: GridSummary, tables: dict[str, Table]) -> str:
    state = summary["evaluations"]
    parts = [f"# {escape_unseen(summary['title'])}\n"]
    if state["done"] < state["of"]:
        parts.append(f"Not finished: {state['done']} of {state['of']} evaluations are done.\n")
    reference = f"*{escape_unseen(summary['reference'])}*"
    about = {criteria: _describe(criteria, reference) for criteria in _list_criteria(tables)}
    if len(about) == 1:
        parts += about.values()
    training = describe_training(summary["methods"])
    parts += [f"{escape_unseen(training)}\n"] if training else []
    for name, table in tables.items():
        parts.append(f"## {escape_unseen(name)}\n")
        if len(about) > 1:
            parts.append(about[table.criteria])
        head, rows = make_cells(table)
        parts.append(format_markdown(head, rows))
    return "\n".join(parts)


def _list_criteria(tables: Mapping[str, Table]) -> list[Criteria]:
    return list(dict.fromkeys(table.criteria for table in tables.values())) or [TARGET]


def _describe(criteria: Criteria, reference: str) -> str:
    """Say what the figures are, in Markdown."""
    shown, caution = {
        True: (
            "Mean DSC in percent",
            "Do not compare the paper's values, whose protocol is not stated, with blind ones.",
        ),
        False: (
            "Means over people and images, in percent, VI in bits, of the connected parts of the "
            "clusters;",
            "mIoU all is the mean over all people. Published values are on other images.",
        ),
    }[criteria is TARGET]
    return (
        f"{shown} with 95 % bootstrap interval. Difference: {criteria.main} of {reference} minus "
        f"that of the row, paired by image; p: Wilcoxon signed-rank test. {caution}\n"
    )


def make_cells(table: Table) -> tuple[list[str], list[list[str]]]:
    """Make head and rows of a readable table; columns of the paper only where it has values."""
    criteria, columns = table.criteria, table.criteria.ranked_columns
    shown = [m for m in criteria.paper if any(m in row["paper"] for row in table.rows)]
    head = ["method", *(column.heading for column in columns)]
    head += [f"paper {criteria.metrics[metric].name}" for metric in shown]
    repeated = any("by_seed" in row for row in table.rows)
    head += ["each seed"] if repeated else []
    head += ["difference", "p", "seconds", "images"]
    rows = []
    for row in table.rows:
        paper = [_format_paper(row["paper"].get(metric), criteria, metric) for metric in shown]
        protocols = row.get("protocols")
        if protocols is None:
            rows.append([row["method"], *[""] * len(columns), *paper, *[""] * (4 + repeated)])
            continue
        means = [
            format_interval(
                protocols[column.protocol][column.metric], criteria.metrics[column.metric].digits
            )
            for column in columns
        ]
        other = row.get("difference")
        apart = ["", ""] if other is None else [format_difference(other), f"{other['p_value']:.2g}"]
        more = [f"{row.get('seconds', 0):.2f}", str(row.get("images"))]
        seeds = [format_seeds(row)] if repeated else []
        rows.append([row["method"], *means, *paper, *seeds, *apart, *more])
    return head, rows


def format_interval(found: MeanRecord, digits: int = 1) -> str:
    """Format as ``mean (low–high)``."""
    mean, low, high = (f"{found[part]:.{digits}f}" for part in ("mean", "low", "high"))
    return f"{mean} ({low}–{high})"


def format_seeds(row: GridRow) -> str:
    """Format the most important figure of each evaluation of a method."""
    return ", ".join(f"{figure:.1f}" for figure in row.get("by_seed", {}).values())


def format_difference(found: MeanRecord) -> str:
    """Format as ``+mean (+low to +high)``."""
    return f"{found['mean']:+z.1f} ({found['low']:+z.1f} to {found['high']:+z.1f})"


def format_markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Format a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    shown = ([escape_unseen(cell).replace("|", "∣") for cell in cells] for cells in lines)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in shown)


def format_tables(tables: dict[str, Table], summary: GridSummary) -> str:
    """Format the tables of :func:`write_tables` for a terminal."""
    found = ((escape_unseen(name), make_cells(table)) for name, table in tables.items())
    parts = [f"{name}\n{align_columns(*shown)}" for name, shown in found]
    training = describe_training(summary["methods"])
    return "\n\n".join([*parts, *([escape_unseen(training)] if training else [])])


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
