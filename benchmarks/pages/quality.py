"""The tables of ``docs/quality.md`` and the README, from the summaries of experiments."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.pages.tables import format_short_table, format_table
from s3net_jax.experiments.tables import format_interval, format_markdown, make_cells

__all__ = ["PAGE", "build_quality_page", "build_readme_quality", "build_short_quality"]

_ROOT = Path(__file__).parents[2]
PAGE, SUMMARIES = _ROOT / "docs/quality.md", _ROOT / "docs/quality"
_SHORT = ("compare", "untuned")
"""Experiments whose blind figures the short tables show: all data sets, one seed."""
_METHODS = {
    "s3net best": "`best` (default)",
    "s3net best, one step": "`best` with random networks (`--set fit.steps=1`)",
    "best without a network": "`best`, k-means for networks",
    "classical recipe": "classical recipe",
    "s3net released": "`released`",
    "s3net paper": "`paper`",
    "k-means on RGB": "k-means on RGB",
    "Otsu, dark, inner": "Otsu's threshold, without parts at the border",
    "whole image": "the whole image",
}
"""Method → what the short tables call it."""
_IN_README = (
    "s3net best",
    "best without a network",
    "classical recipe",
    "s3net released",
    "s3net paper",
)


def build_quality_page() -> str:
    """Return the tables of ``docs/quality.md``, from ``docs/quality/*.json``."""
    parts = []
    for path in sorted(SUMMARIES.glob("*.json")):
        summary = json.loads(path.read_text())
        parts.append(f"### {summary['title']}\n\n`experiments/{path.stem}.toml`, ")
        parts[-1] += f"seed {summary['seed']} ([summary](quality/{path.name})). "
        parts[-1] += f"Difference: *{summary['reference']}* minus the row, blind, paired.\n"
        for name, rows in summary["data"].items():
            parts.append(f"**{name}**\n\n{format_markdown(*make_cells(rows))}")
    return "\n".join(parts)


def build_readme_quality() -> str:
    """Return the README's table: five methods."""
    return format_short_table(*_make_short_cells(_IN_README))


def build_short_quality() -> str:
    """Return the table that begins the figures of ``docs/quality.md``: all methods, blind."""
    return format_table(*_make_short_cells(tuple(_METHODS)))


def _make_short_cells(methods: tuple[str, ...]) -> tuple[list[str], list[list[str]]]:
    """Return head and rows: blind figures on all data sets, and seconds on lungs."""
    data: dict[str, dict[str, Any]] = {}
    for stem in _SHORT:
        summary = json.loads((SUMMARIES / f"{stem}.json").read_text())
        for name, rows in summary["data"].items():
            data[name] = {row["method"]: row for row in rows if "images" in row}
    sizes = [f"{name} ({rows['whole image']['images']})" for name, rows in data.items()]
    rows = []
    for method in methods:
        found = [by_method.get(method) for by_method in data.values()]
        blind = [row and format_interval(row["protocols"]["blind"]["dsc"]) for row in found]
        seconds = f"{data['lung_ct'][method]['seconds']:.2f}"
        rows.append([_METHODS[method], *(text or "" for text in blind), seconds])
    return ["method", *sizes, "seconds"], rows
