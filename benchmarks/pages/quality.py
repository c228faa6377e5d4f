"""Build the tables of ``docs/quality.md`` from summaries of experiments."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.confidence.report import RESULT as CONFIDENCE
from s3net_jax.criteria import get_criteria
from s3net_jax.experiments.summary import Table
from s3net_jax.experiments.tables import format_interval, format_markdown, make_cells

__all__ = ["PAGE", "build_quality_page", "build_short_quality", "make_short_cells"]

_ROOT = Path(__file__).parents[2]
PAGE, SUMMARIES = _ROOT / "docs/quality.md", _ROOT / "docs/quality"
_SHORT = ("compare", "untuned")
"""Experiments whose blind scores the short tables show."""
_ROWS = {
    "s3net best": "`best`",
    "s3net best, one step": "`best` with random networks (`--set fit.steps=1`)",
    "best without a network": "`best` with k-means in place of networks",
    "s3net released": "`released`",
    "s3net paper": "`paper`",
    "classical recipe": "classical recipe",
    "k-means on RGB": "k-means on RGB",
    "Otsu, dark, inner": "Otsu's threshold, without parts at the border",
    "whole image": "the whole image",
}
"""Method → its name in the short table of the page."""


def build_quality_page() -> str:
    """Return the tables of ``docs/quality.md``, from ``docs/quality/*.json``."""
    parts = []
    for path in sorted(set(SUMMARIES.glob("*.json")) - {CONFIDENCE}):
        summary = json.loads(path.read_text())
        parts.append(f"### {summary['title']}\n\n`experiments/{path.stem}.toml`, ")
        parts[-1] += f"seed {summary['seed']} ([summary](quality/{path.name})). "
        parts[-1] += f"Difference: *{summary['reference']}* minus the row, blind, paired.\n"
        for name, rows in summary["data"].items():
            protocols = next(row["protocols"] for row in rows if "protocols" in row)
            table = Table(name, get_criteria(protocols), rows, {})
            parts.append(f"**{name}**\n\n{format_markdown(*make_cells(table))}")
    return "\n".join(parts)


def build_short_quality() -> str:
    """Return the table that begins the figures of ``docs/quality.md``."""
    return format_markdown(*make_short_cells(_ROWS))


def make_short_cells(names: dict[str, str]) -> tuple[list[str], list[list[str]]]:
    """Return head and rows of a table: blind scores on all data sets, and seconds on lungs.

    Args:
      names: method → its name in the table, in the order of the rows.
    """
    data: dict[str, dict[str, Any]] = {}
    for stem in _SHORT:
        summary = json.loads((SUMMARIES / f"{stem}.json").read_text())
        for name, rows in summary["data"].items():
            data[name] = {row["method"]: row for row in rows if "images" in row}
    sizes = [f"{name} ({rows['whole image']['images']})" for name, rows in data.items()]
    rows = []
    for method, shown in names.items():
        found = [methods.get(method) for methods in data.values()]
        blind = [row and format_interval(row["protocols"]["blind"]["dsc"]) for row in found]
        rows.append(
            [shown, *(text or "" for text in blind), f"{data['lung_ct'][method]['seconds']:.2f}"]
        )
    return ["method", *sizes, "seconds"], rows
