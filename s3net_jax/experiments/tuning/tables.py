"""Write the files of a search, and format its table as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from s3net_jax.csv_text import format_csv
from s3net_jax.experiments.summary import BLIND_FIRST
from s3net_jax.experiments.tables import (
    align_columns,
    format_difference,
    format_interval,
    format_markdown,
)
from s3net_jax.experiments.tuning.settings import Setting
from s3net_jax.experiments.tuning.spec import Tuning
from s3net_jax.io import write_bytes, write_text
from s3net_jax.report import build_tuning_page
from s3net_jax.schema import TuningSummary, write_json
from s3net_jax.text import escape_unseen

__all__ = ["format_tuning", "write_tables"]

_WARNING = (
    "These settings were chosen by ground truth: do not report scores on the images they were "
    "tuned on. The score of the best of many settings is optimistic."
)


def write_tables(
    folder: Path, tuning: Tuning, settings: Sequence[Setting], summary: TuningSummary
) -> None:
    """Write ``table.csv``, ``table.md``, ``summary.json`` and ``report.html``, each atomically."""
    head = (*settings[0], "steps", *BLIND_FIRST)
    write_bytes(folder / "table.csv", format_csv(head, _make_csv_rows(tuning, settings, summary)))
    write_text(folder / "table.md", _make_page(summary))
    shown = {key: value for key, value in summary.items() if key != "means"}
    write_json(folder / "summary.json", shown)
    write_text(folder / "report.html", build_tuning_page(summary, _WARNING))


def _make_csv_rows(
    tuning: Tuning, settings: Sequence[Setting], summary: TuningSummary
) -> Iterator[list[str]]:
    """Yield a row of mean DSC over images for each setting and number of steps."""
    means = summary.get("means", {})
    for n, setting in enumerate(settings):
        for k, step in enumerate(tuning.steps):
            figures = [f"{means[name][n][k]:.3f}" for name in BLIND_FIRST]
            yield [*(f"{value:g}" for value in setting.values()), str(step), *figures]


def format_tuning(summary: TuningSummary) -> str:
    """Format the best settings for a terminal, with the options of the very best."""
    table = align_columns(*_make_cells(summary))
    return (
        f"mean DSC over {summary['images']['done']} images\n{table}\n\n"
        f"the best:  {summary['best'][0]['options']}\n{_describe_left_out(summary)}\n{_WARNING}"
    )


def _make_page(summary: TuningSummary) -> str:
    state = summary["images"]
    head, rows = _make_cells(summary)
    parts = [f"# {escape_unseen(summary['title'])}\n"]
    if state["done"] < state["of"]:
        parts.append(f"Not finished: {state['done']} of {state['of']} images are done.\n")
    parts += [
        f"{_WARNING}\n",
        f"Mean DSC in percent over {state['done']} images with 95 % bootstrap interval; each "
        "setting at its best number of steps. Difference: blind DSC minus that of the preset.\n",
        format_markdown(head, rows),
        f"The best: `{summary['best'][0]['options']}`\n",
        f"{_describe_left_out(summary)}\n",
    ]
    return "\n".join(parts)


def _describe_left_out(summary: TuningSummary) -> str:
    found = summary["left_out"]
    if found is None:
        return "Leave-one-out needs at least two images."
    return f"Leave-one-out blind DSC (chosen on all other images): {format_interval(found)}."


def _make_cells(summary: TuningSummary) -> tuple[list[str], list[list[str]]]:
    varied = list(summary["effects"])
    head = [*varied, "steps", *BLIND_FIRST, "difference", "p"]
    base = summary["base"]
    rows = []
    for row in (*summary["best"], base):
        numbers = [f"{row['setting'][name]:g}" for name in varied]
        means = [format_interval(row["protocols"][name]) for name in BLIND_FIRST]
        other = row["difference"]
        apart = [format_difference(other), f"{other['p_value']:.2g}"]
        if row is base:
            apart = ["preset", ""]
        rows.append([*numbers, str(row["steps"]), *means, *apart])
    return head, rows
