"""The files of a search, and its table as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from s3net_jax.csv_text import csv_bytes
from s3net_jax.experiments.folder import write_json
from s3net_jax.experiments.summary import BLIND_FIRST
from s3net_jax.experiments.tables import aligned, interval, markdown, signed
from s3net_jax.experiments.tuning.settings import Setting
from s3net_jax.experiments.tuning.spec import FIELDS, Tuning
from s3net_jax.io import write_bytes, write_text
from s3net_jax.report.tuning import tuning_page
from s3net_jax.text import one_line

__all__ = ["tuning_text", "write_tables"]

_WARNING = (
    "Ground truth has chosen these settings: the images they were tuned on must not be used to "
    "report figures, and the best of many is flattered by its choice."
)


def write_tables(
    folder: Path, tuning: Tuning, settings: Sequence[Setting], summary: dict[str, Any]
) -> None:
    """``table.csv``, ``table.md``, ``summary.json`` and ``report.html``, each whole."""
    write_bytes(folder / "table.csv", csv_bytes(_HEAD, _csv_rows(tuning, settings, summary)))
    write_text(folder / "table.md", _page(summary))
    write_json(folder / "summary.json", {k: v for k, v in summary.items() if k != "means"})
    write_text(folder / "report.html", tuning_page(summary, _WARNING))


_HEAD = (*FIELDS, "steps", *BLIND_FIRST)


def _csv_rows(
    tuning: Tuning, settings: Sequence[Setting], summary: dict[str, Any]
) -> Iterator[list[str]]:
    """A row for each setting and number of steps: mean DSC over the images."""
    means = summary["means"]
    for n, setting in enumerate(settings):
        for k, step in enumerate(tuning.steps):
            figures = [f"{means[name][n][k]:.3f}" for name in BLIND_FIRST]
            yield [*(f"{setting[name]:g}" for name in FIELDS), str(step), *figures]


def tuning_text(summary: dict[str, Any]) -> str:
    """The best settings, and what is typed for the best of all, for a terminal."""
    return (
        f"mean DSC over {summary['images']['done']} images\n{aligned(*_cells(summary))}\n\n"
        f"the best:  {summary['best'][0]['options']}\n{_left_out(summary)}\n{_WARNING}"
    )


def _page(summary: dict[str, Any]) -> str:
    state = summary["images"]
    head, rows = _cells(summary)
    parts = [f"# {one_line(summary['title'])}\n"]
    if state["done"] < state["of"]:
        parts.append(f"Not finished: {state['done']} of {state['of']} images are done.\n")
    parts += [
        f"{_WARNING}\n",
        f"Mean DSC in percent over {state['done']} images, with its bootstrap 95 % interval; each "
        "setting with its best number of steps. Difference: blind, minus the preset's own "
        "numbers.\n",
        markdown(head, rows),
        f"The best: `{summary['best'][0]['options']}`\n",
        f"{_left_out(summary)}\n",
    ]
    return "\n".join(parts)


def _left_out(summary: dict[str, Any]) -> str:
    found = summary["left_out"]
    if found is None:
        return "Of one image nothing can be left out."
    return f"Chosen on all images but one, blind DSC of the one left out: {interval(found)}."


def _cells(summary: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    varied = list(summary["effects"])
    head = [*varied, "steps", *BLIND_FIRST, "difference", "p"]
    base = summary["base"]
    rows = []
    for row in (*summary["best"], base):
        numbers = [f"{row['setting'][name]:g}" for name in varied]
        means = [interval(row["protocols"][name]) for name in BLIND_FIRST]
        other = row["difference"]
        apart = [signed(other), f"{other['p_value']:.2g}"] if row is not base else ["preset", ""]
        rows.append([*numbers, str(row["steps"]), *means, *apart])
    return head, rows
