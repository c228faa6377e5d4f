"""From scores to the rows of an experiment's tables, beside the paper's figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from s3net_jax.evaluate import PROTOCOLS
from s3net_jax.evaluate.scores import Score, summarise
from s3net_jax.experiments.spec import Grid, Method
from s3net_jax.provenance import versions

__all__ = ["BLIND_FIRST", "Table", "summary_of", "table_of"]

BLIND_FIRST = ("blind", *(name for name in PROTOCOLS if name != "blind"))
"""The protocols, the one that counts first."""


@dataclass(frozen=True, eq=False)
class Table:
    """Of one data set.

    Attributes:
      data: its name.
      rows: of each method, in the order of the experiment, then of the baselines that it does
        not name: ``method``; ``paper``, metric → figure; ``report``, the evaluation's folder, or
        None; and where it has been computed ``images``, ``seconds``, ``protocols`` (protocol →
        metric → mean, low, high) and ``difference`` (of the reference's blind DSC minus its own:
        mean, low, high, p_value; None of the reference itself).
      blind: method → DSC of each image, blind.
    """

    data: str
    rows: list[dict[str, Any]]
    blind: dict[str, list[float]]


def table_of(grid: Grid, data: str, scores: list[Score]) -> Table:
    """The table of one data set; methods without scores have the paper's figures alone."""
    found = summarise(scores, grid.reference)
    names = {method.name for method in grid.methods}
    others = [Method(name, {}) for name in found["methods"] if name not in names]
    rows = []
    for method in (*grid.methods, *others):
        row: dict[str, Any] = {"method": method.name, "paper": method.paper.get(data, {})}
        row["report"] = f"{data}/{method.folder}" if method.config is not None else None
        if method.name in found["methods"]:
            row |= found["methods"][method.name]
            row["difference"] = found["comparisons"].get(method.name)
        rows.append(row)
    blind: dict[str, list[float]] = {}
    for row in rows:
        mine = [s for s in scores if s.method == row["method"] and s.protocol == "blind"]
        if mine:
            blind[row["method"]] = [s.metrics["dsc"] for s in mine]
    return Table(data, rows, blind)


def summary_of(grid: Grid, tables: dict[str, Table], failed: int) -> dict[str, Any]:
    """What ``summary.json`` holds: the experiment, its tables, versions."""
    fits = [method for method in grid.methods if method.config is not None]
    done = sum("images" in row for t in tables.values() for row in t.rows if row["report"])
    return {
        "kind": grid.kind,
        "title": grid.title,
        "reference": grid.reference,
        "seed": grid.seed,
        "evaluations": {"done": done, "of": len(fits) * len(grid.data)},
        "failed": failed,
        "protocols": {name: PROTOCOLS[name] for name in BLIND_FIRST},
        "data": {name: table.rows for name, table in tables.items()},
        "methods": {
            method.name: {"seeds": method.seeds, "config": method.config.to_dict()}
            for method in fits
            if method.config is not None
        },
        "versions": versions(),
    }
