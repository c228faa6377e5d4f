"""Turn scores into the rows of an experiment's tables, beside the values of the paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from s3net_jax.criteria import TARGET, Criteria
from s3net_jax.evaluate import DATASETS, Score, summarise
from s3net_jax.experiments.spec import Grid, Method
from s3net_jax.provenance import collect_versions, find_commit
from s3net_jax.schema import GridRow, GridSummary

__all__ = ["BLIND_FIRST", "Table", "get_report_folder", "make_summary", "make_table"]

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


def get_report_folder(grid: Grid, method: Method, data: str, seed: int) -> tuple[str, ...]:
    """Return the path of an evaluation inside the experiment's folder, part by part."""
    return (data, method.folder, *([f"seed-{seed}"] if grid.repeats > 1 else []))


def make_table(
    grid: Grid,
    data: str,
    baselines: Sequence[Score],
    runs: Mapping[str, Mapping[int, Sequence[Score]]],
) -> Table:
    """Make the table of one data set; methods without scores only have the paper's values.

    Args:
      grid: the experiment.
      data: name of the data set.
      baselines: scores of the baselines.
      runs: method → first seed → scores of that evaluation.
    """
    scores = [*baselines]
    for own in runs.values():
        scores += _average([*own.values()])
    found = summarise(scores, grid.reference)
    names = {method.name for method in grid.methods}
    others = [Method(name, {}) for name in found["methods"] if name not in names]
    (dataset,) = {item.dataset for item in grid.data if item.name == data}
    criteria = DATASETS[dataset].criteria
    rows: list[GridRow] = []
    for method in (*grid.methods, *others):
        row: GridRow = {
            "method": method.name,
            "paper": dict(method.paper.get(data, {})),
            "report": None
            if method.config is None
            else "/".join(get_report_folder(grid, method, data, grid.seed)),
        }
        if method.name in found["methods"]:
            row |= found["methods"][method.name]
            row["difference"] = found["comparisons"].get(method.name)
        if grid.repeats > 1 and (own := runs.get(method.name)):
            row["by_seed"] = {
                str(seed): _compute_main(each, criteria) for seed, each in own.items()
            }
        rows.append(row)
    main: dict[str, list[float]] = {}
    for row in rows:
        own = [s for s in scores if s.method == row["method"] and s.protocol == criteria.protocol]
        if own:
            main[row["method"]] = [s.metrics[criteria.metric] for s in own]
    return Table(data, criteria, rows, main)


def _average(runs: Sequence[Sequence[Score]]) -> list[Score]:
    """Average the scores of each image and protocol over the evaluations that have it."""
    groups: dict[tuple[str, str], list[Score]] = {}
    for run in runs:
        for score in run:
            groups.setdefault((score.image, score.protocol), []).append(score)
    return [
        Score(
            group[0].method,
            image,
            protocol,
            {
                metric: float(np.mean([score.metrics[metric] for score in group]))
                for metric in group[0].metrics
            },
            float(np.mean([score.seconds for score in group])),
        )
        for (image, protocol), group in groups.items()
    ]


def _compute_main(scores: Sequence[Score], criteria: Criteria) -> float:
    """Return the mean of the most important figure over the images."""
    own = [s.metrics[criteria.metric] for s in scores if s.protocol == criteria.protocol]
    return float(np.mean(own)) if own else 0.0


def make_summary(grid: Grid, tables: dict[str, Table], failed: int) -> GridSummary:
    """Make the content of ``summary.json``: the experiment, its tables, versions."""
    fits = [method for method in grid.methods if method.config is not None]
    done = sum(
        len(row.get("by_seed", [None]))
        for table in tables.values()
        for row in table.rows
        if row["report"] and "images" in row
    )
    summary: GridSummary = {
        "kind": grid.kind,
        "title": grid.title,
        "reference": grid.reference,
        "seed": grid.seed,
        "evaluations": {"done": done, "of": len(fits) * len(grid.data) * grid.repeats},
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
    if grid.repeats > 1:
        summary["repeats"] = grid.repeats
    return summary
