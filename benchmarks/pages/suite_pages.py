"""Write ``docs/benchmarks.md`` and a page for each suite from the committed result files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.harness.options import modernise_command
from benchmarks.harness.presets import ORDER, has_other_order
from benchmarks.pages import operator_tables, summaries, tables
from benchmarks.pages.summary import build_summary

__all__ = [
    "FOLDER",
    "INDEX",
    "RESULTS",
    "build_suite_pages",
    "read_results",
]

Content = dict[str, Any]

_ROOT = Path(__file__).parents[2]
RESULTS = _ROOT / "benchmarks/results"
INDEX, FOLDER = _ROOT / "docs/benchmarks.md", _ROOT / "docs/benchmarks"

_SECTIONS = {
    "step": ("One optimisation step", summaries.summarise_steps, tables.build_step_table),
    "fit": ("Whole fits", summaries.summarise_fits, tables.build_fit_table),
    "many": ("Many images, sweeps, processes", summaries.summarise_many, tables.build_many_table),
    "scaling": ("Sizes, images, channels", summaries.summarise_scaling, tables.build_scaling_table),
    "ops": ("Operators", summaries.summarise_operators, operator_tables.build_ops_table),
    "numerics": (
        "Rounding errors",
        summaries.summarise_errors,
        operator_tables.build_numerics_table,
    ),
}
"""Suite → title, summary of all its result files, table of one result file."""


def read_results() -> dict[str, Content]:
    """Return the committed results that have a page, by file name, in the order of the suites."""
    results = {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}
    results = {name: found for name, found in results.items() if found["suite"] in _SECTIONS}
    order = list(_SECTIONS)
    return dict(sorted(results.items(), key=lambda item: order.index(item[1]["suite"])))


def _note_order(contents: Iterable[Content]) -> list[str]:
    """Return the lines that name the presets measured in another order than their own."""
    names: list[str] = []
    for content in contents:
        names += [*content.get("presets", ()), *content.get("trajectories", ())]
        names += [content["preset"]] if "preset" in content else []
    found = [f"`{name}`" for name in dict.fromkeys(names) if has_other_order(name)]
    if not found:
        return []
    order = f"the released order of the inception (`model.inception={ORDER}`)"
    return [f"{' and '.join(found)}: measured in {order}.", ""]


def _build_index_tables(results: dict[str, Content]) -> str:
    """Return the tables of steps and fits at 256×256 with 64 channels, over all machines."""
    steps, fits = (
        [content for name, content in results.items() if name.startswith(f"{suite}-256-64-")]
        for suite in ("step", "fit")
    )
    return build_summary(steps, fits)


def build_suite_pages(results: dict[str, Content]) -> dict[Path, str]:
    """Return the text of the index and of every suite's page, by path."""
    pages = {INDEX: _build_index(results)}
    for suite, (title, summarise, detail) in _SECTIONS.items():
        contents = {name: c for name, c in results.items() if c["suite"] == suite}
        if contents:
            pages[FOLDER / f"{suite}.md"] = _build_page(title, summarise, detail, contents)
    return pages


def _build_index(results: dict[str, Content]) -> str:
    lines = [
        "# Benchmarks",
        "",
        "Every figure comes from a committed result file, losses included.",
        "[benchmarks/README.md](../benchmarks/README.md) describes how the suites measure. PyTorch",
        "is represented by [our own reference](../benchmarks/torch_reference/README.md).",
        "",
        "| page | suite | machines |",
        "| --- | --- | --- |",
    ]
    for suite, (title, *_) in _SECTIONS.items():
        found = [c for c in results.values() if c["suite"] == suite]
        machines = list(dict.fromkeys(map(tables.name_machine, found)))
        lines.append(f"| [{title}](benchmarks/{suite}.md) | `{suite}` | {'; '.join(machines)} |")
    lines += ["", "## Steps and fits on all machines", "", *_note_order(results.values())]
    lines.append(_build_index_tables(results))
    return "\n".join(lines)


def _build_page(title: str, summarise: Any, detail: Any, contents: dict[str, Content]) -> str:
    lines = [
        f"# {title}",
        "",
        "`python -m benchmarks.pages` generates this page from the files in `benchmarks/results/`.",
        "",
        "## Summary",
        "",
        *_note_order(contents.values()),
        summarise(list(contents.values())),
    ]
    for name, content in contents.items():
        meta = content["metadata"]
        lines += [
            f"## {tables.name_machine(content)}: `{name}`",
            "",
            f"`{modernise_command(meta['command'])}`, {meta['date'][:10]}, commit {meta['commit']}",
            f"([result](../../benchmarks/results/{name}.json)).",
            "",
            f"![{title}]({name}.svg)",
            "",
            detail(content),
        ]
    return "\n".join(lines)
