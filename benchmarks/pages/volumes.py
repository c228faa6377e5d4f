"""Build the tables of ``docs/volumes.md`` on one network for a volume."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.pages.tables import format_table
from benchmarks.volumes.__main__ import RESULT

__all__ = ["PAGE", "build_volumes"]

PAGE = Path(__file__).parents[2] / "docs/volumes.md"


def build_volumes() -> str:
    """Return the tables of both modes and of ``fit.slices``, from ``docs/quality/volumes.json``."""
    content = json.loads(RESULT.read_text())
    every = content["rows"]
    rows = {name: row for name, row in every.items() if "training_slices" not in row}
    head = ["volume", "mode", "target", "DSC", "mask", "mask, truth", "labels"]
    head += ["clusters", "CPU s", "s", "peak MiB"]
    body = [_make_row(name, row) for name, row in rows.items()]
    cores = sorted({row["cores"] for row in rows.values()})
    return (
        f"Preset `{content['preset']}`, seed {content['seed']}, on {cores[-1]} cores "
        "([result file](quality/volumes.json)); DSC in percent. *Mask* is the mean DSC of the "
        "masks of neighbouring slices, beside that of the true masks; *labels* is Cohen's kappa of "
        "their label maps, times 100. Seconds include compilation; where they are many times the "
        "CPU seconds, other programs kept the machine busy.\n\n"
        f"{format_table(head, body).rstrip()}"
        f"{_format_training([(name, row) for name, row in every.items() if name not in rows])}"
    )


def _format_training(rows: list[tuple[str, dict[str, Any]]]) -> str:
    """Return the table of DSC by the number of slices of the training; "" if nothing is known."""
    counts = sorted({row["training_slices"] for _, row in rows})
    if not counts:
        return ""
    volumes: dict[str, dict[int, str]] = {}
    for name, row in rows:
        known = volumes.setdefault(name.split(", one network")[0], {})
        known[row["training_slices"]] = f"{100 * row['dsc']:.1f}"
    body = [[name, *(known.get(n, "") for n in counts)] for name, known in volumes.items()]
    head = ["slices of the training (`fit.slices`)", *map(str, counts)]
    return f"\n\nDSC of the target `dark`, by the number of slices:\n\n{format_table(head, body)}"


def _make_row(name: str, row: dict[str, Any]) -> list[str]:
    return [
        name.split(", one network")[0].split(", every slice")[0],
        "one network" if row["one_network"] else "every slice",
        row["target"],
        f"{100 * row['dsc']:.1f}",
        f"{100 * row['mask_dsc']:.1f}",
        f"{100 * row['true_mask_dsc']:.1f}",
        f"{100 * row['label_kappa']:.1f}",
        f"{row['clusters']}",
        f"{row['cpu_seconds']:.0f}",
        f"{row['seconds']:.0f}",
        f"{row['peak_mib']}",
    ]
