"""Build the table of ``docs/quality.md`` on the choice among candidates."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.choice.report import RESULT
from benchmarks.pages.tables import format_table

__all__ = ["build_choice"]

_HEAD = ["images", "number", "`best`", "worst tenth", "`robust`", "worst tenth", "best candidate"]


def build_choice() -> str:
    """Return the section on the choice, from ``docs/quality/choice.json``."""
    content = json.loads(RESULT.read_text())
    parts = [
        f"{len(content['rows'])} images, seed {content['seed']} "
        "([figures of every image](quality/choice.json)). DSC in percent.\n"
    ]
    titles = {"reported": "The half that is reported:", "chosen on": "The half of the choice:"}
    for half, title in titles.items():
        rows = [_make_row(name, found) for name, found in content["summaries"][half].items()]
        parts.append(f"{title}\n\n{format_table(_HEAD, rows)}")
    weights = [[name, f"{value:g}"] for name, value in content["weights"].items()]
    parts.append(f"Weights of the traits:\n\n{format_table(['trait', 'weight'], weights)}")
    return "\n".join(parts)


def _make_row(name: str, found: dict[str, Any]) -> list[str]:
    keys = ("best", "best_worst_tenth", "robust", "robust_worst_tenth", "ceiling")
    return [name, str(found["images"]), *(f"{100 * found[key]:.1f}" for key in keys)]
