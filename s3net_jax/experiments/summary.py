"""Turn scores into the rows of an experiment's tables, beside the values of the paper."""

from __future__ import annotations

from dataclasses import dataclass

from s3net_jax.criteria import TARGET, Criteria
from s3net_jax.evaluate import DATASETS, Score, summarise
from s3net_jax.experiments.spec import Grid, Method
from s3net_jax.provenance import collect_versions, find_commit
from s3net_jax.schema import GridRow, GridSummary

__all__ = ["BLIND_FIRST", "Table", "make_summary", "make_table"]

BLIND_FIRST = TARGET.ranked_protocols
"""Names of the protocols for masks, the most important first."""


@dataclass(frozen=True, eq=False)
class Table:
    """The table of one data set.

    Attributes:
      data: name of the data set.
      criteria: what is measured on this data set.
      rows: rows of the methods, in the order of the experiment, then of the baselines that it does
        not name; ``difference`` is the most important figure (blind DSC or covering) of the
        reference minus that of the row.
      main: method → most important figure of each image, in percent.
    """

    data: str
    criteria: Criteria
    rows: list[GridRow]
    main: dict[str, list[float]]


def make_table(grid: Grid, data: str, scores: list[Score]) -> Table:
    """Make the table of one data set; methods without scores only have the paper's values."""
    found = summarise(scores, grid.reference)
    names = {method.name for method in grid.methods}
    others = [Method(name, {}) for name in found["methods"] if name not in names]
    rows: list[GridRow] = []
    for method in (*grid.methods, *others):
        row: GridRow = {
            "method": method.name,
            "paper": dict(method.paper.get(data, {})),
            "report": f"{data}/{method.folder}" if method.config is not None else None,
        }
        if method.name in found["methods"]:
            row |= found["methods"][method.name]
            row["difference"] = found["comparisons"].get(method.name)
        rows.append(row)
    (dataset,) = {item.dataset for item in grid.data if item.name == data}
    criteria = DATASETS[dataset].criteria
    main: dict[str, list[float]] = {}
    for row in rows:
        own = [s for s in scores if s.method == row["method"] and s.protocol == criteria.protocol]
        if own:
            main[row["method"]] = [s.metrics[criteria.metric] for s in own]
    return Table(data, criteria, rows, main)


def make_summary(grid: Grid, tables: dict[str, Table], failed: int) -> GridSummary:
    """Make the content of ``summary.json``: the experiment, its tables, versions."""
    fits = [method for method in grid.methods if method.config is not None]
    done = sum("images" in row for t in tables.values() for row in t.rows if row["report"])
    return {
        "kind": grid.kind,
        "title": grid.title,
        "reference": grid.reference,
        "seed": grid.seed,
        "evaluations": {"done": done, "of": len(fits) * len(grid.data)},
        "failed": failed,
        "protocols": {
            name: criteria.protocols[name]
            for criteria in dict.fromkeys(table.criteria for table in tables.values())
            for name in criteria.ranked_protocols
        },
        "data": {name: table.rows for name, table in tables.items()},
        "methods": {
            method.name: {"seeds": method.seeds, "config": method.config.to_dict()}
            for method in fits
            if method.config is not None
        },
        "versions": collect_versions(),
        "commit": find_commit(),
    }
