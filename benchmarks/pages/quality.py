"""Build the tables of ``docs/quality.md`` from summaries of experiments."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.choice.report import RESULT as CHOICE
from benchmarks.confidence.report import RESULT as CONFIDENCE
from benchmarks.volumes.__main__ import RESULT as VOLUMES
from s3net_jax.config import Config
from s3net_jax.criteria import get_criteria
from s3net_jax.experiments.summary import Table
from s3net_jax.experiments.tables import format_interval, format_markdown, make_cells
from s3net_jax.presets import PRESETS, preset

__all__ = ["PAGE", "build_quality_page", "build_short_quality", "explain_mark", "make_short_cells"]

_ROOT = Path(__file__).parents[2]
PAGE, SUMMARIES = _ROOT / "docs/quality.md", _ROOT / "docs/quality"
_SHORT = ("s3net", "untuned")
"""Experiments whose blind scores the short tables show."""
_MARK = "†"
"""Mark of figures in the released order of the inception, which their preset no longer has."""
_NOTE = f"{_MARK} released order of the inception"
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
    for path in sorted(set(SUMMARIES.glob("*.json")) - {CHOICE, CONFIDENCE, VOLUMES}):
        summary = json.loads(path.read_text())
        parts.append(f"### {summary['title']}\n\n`experiments/{path.stem}.toml`, ")
        seeds = f"{summary['repeats']} seeds" if "repeats" in summary else f"seed {summary['seed']}"
        parts[-1] += f"{seeds} ([summary](quality/{path.name})). "
        criteria = get_criteria(_list_protocols(summary))
        reference = summary["reference"]
        parts[-1] += (
            f"Difference: {criteria.main} of *{reference}* minus that of the row, paired.\n"
        )
        if found := _find_other_orders(summary):
            names = ", ".join(f"*{name}*" for name in found)
            parts[-1] += f"\nComputed in the released order of the inception: {names}.\n"
        for name, rows in summary["data"].items():
            table = Table(name, criteria, rows, {})
            parts.append(f"**{name}**\n\n{format_markdown(*make_cells(table))}")
    return "\n".join(parts)


def _list_protocols(summary: dict[str, Any]) -> list[str]:
    """List the protocols of an experiment."""
    rows = (row for rows in summary["data"].values() for row in rows)
    return list(next(row["protocols"] for row in rows if "protocols" in row))


def build_short_quality() -> str:
    """Return the table that begins the figures of ``docs/quality.md``."""
    head, rows = make_short_cells(_ROWS)
    return format_markdown(head, rows) + explain_mark(rows)


def explain_mark(rows: list[list[str]]) -> str:
    """Return the line below a table that explains its marks; empty if nothing is marked."""
    return f"\n{_NOTE}\n" if any(_MARK in cell for cells in rows for cell in cells) else ""


def make_short_cells(names: dict[str, str]) -> tuple[list[str], list[list[str]]]:
    """Return head and rows of a table: blind scores on all data sets, and seconds on lungs.

    Scores in the released order of the inception are marked if the preset no longer has it.

    Args:
      names: method → its name in the table, in the order of the rows.
    """
    data: dict[str, dict[str, Any]] = {}
    marked: dict[str, list[str]] = {}
    for stem in _SHORT:
        summary = json.loads((SUMMARIES / f"{stem}.json").read_text())
        for name, rows in summary["data"].items():
            data[name] = {row["method"]: row for row in rows if "images" in row}
            marked[name] = _find_other_orders(summary)
    sizes = [f"{name} ({rows['whole image']['images']})" for name, rows in data.items()]
    rows = []
    for method, shown in names.items():
        cells = [shown]
        for name, methods in data.items():
            row = methods.get(method)
            text = format_interval(row["protocols"]["blind"]["dsc"]) if row else ""
            cells.append(text + _MARK * (method in marked[name]))
        rows.append([*cells, f"{data['lung_ct'][method]['seconds']:.2f}"])
    return ["method", *sizes, "seconds"], rows


def _find_other_orders(summary: dict[str, Any]) -> list[str]:
    """List the methods in the released order of the inception whose preset no longer has it."""
    found = []
    for name, method in summary["methods"].items():
        # A field that did not exist at the time has its default.
        config = Config().replace(**method["config"])
        if config.preset in PRESETS and config.model.block == "attention":
            today = preset(config.preset).model.inception
            found += [name] * (config.model.inception == "dilated" != today)
    return found
