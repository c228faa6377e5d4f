"""Build the tables of ``docs/correct.md`` on masks after simulated clicks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.marks.__main__ import RESULT
from benchmarks.pages.tables import format_table

__all__ = ["PAGE", "build_marks"]

PAGE = Path(__file__).parents[2] / "docs/correct.md"
_SHOWN = (0, 1, 3, 5)
"""Numbers of clicks in the tables."""
_NAMES = {"kvasir_sessile": "polyps (Kvasir-SEG)", "ph2": "lesions (PH²)"}


def build_marks() -> str:
    """Return the tables of the section on marks, from ``docs/correct/marks.json``."""
    content = json.loads(RESULT.read_text())
    clicks = ["before", *(f"{n} click{'s' * (n > 1)}" for n in _SHOWN[1:])]
    head = ["images", "number", *clicks, "worse after 5 than before"]
    rows = [_make_row(_NAMES[name], rows) for name, rows in content["sets"].items()]
    found = content["development"]
    solvers = [
        [name, kind, *_pick(np.array(mean))]
        for kind, means in (("of `best`", found["dsc"]["best"]), ("empty", found["dsc"]["emptied"]))
        for name, mean in means.items()
    ]
    return (
        f"Preset `{content['preset']}`, seed {content['seed']} "
        "([figures of every image](correct/marks.json)). Mean DSC in percent:\n\n"
        f"{format_table(head, rows)}\n"
        f"Ways to solve marks, on the {found['images']} development images, with the masks of "
        "`best` and again with empty masks for lesions:\n\n"
        f"{format_table(['solver', 'masks', *clicks], solvers)}"
    )


def _make_row(name: str, rows: list[dict[str, Any]]) -> list[str]:
    scores = np.array([row["dsc"] for row in rows])
    worse = int((scores[:, -1] < scores[:, 0]).sum())
    return [name, str(len(rows)), *_pick(scores.mean(0)), str(worse)]


def _pick(scores: np.ndarray) -> list[str]:
    return [f"{scores[n]:.1f}" for n in _SHOWN]
