"""Build the tables of ``docs/quality.md`` on the confidence of results."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.confidence.report import RESULT
from benchmarks.pages.tables import format_table

__all__ = ["build_confidence"]


def build_confidence() -> str:
    """Return the tables of the section on confidence, from ``docs/quality/confidence.json``."""
    content = json.loads(RESULT.read_text())
    summaries = content["summaries"]
    limit = round(100 * content["check_below"])
    head = ["images", "number", "mean DSC", "expected", "AUROC, DSC < 70", "AUROC, DSC < 80"]
    head += ["flagged", "mean DSC of others", "mean DSC of flagged", "worst tenth flagged"]
    rows = [_make_row(name, summary) for name, summary in summaries.items()]
    bins = [
        [
            f"{100 * b['low']:.0f} to {100 * b['high']:.0f}",
            str(b["images"]),
            _percent(b["expected"]),
            _percent(b["dsc"]),
        ]
        for b in summaries["together"]["bins"]
    ]
    weights = [[name, f"{value:.3f}"] for name, value in content["weights"].items()]
    return (
        f"Preset `{content['preset']}`, seed {content['seed']} "
        "([figures of every image](quality/confidence.json)). A result is flagged if its expected "
        f"DSC is below {limit}. DSC in percent:\n\n{format_table(head, rows)}\n"
        f"Calibration on the reported half:\n\n"
        f"{format_table(['expected DSC', 'images', 'mean expected', 'mean DSC'], bins)}\n"
        f"Weights of the logistic map:\n\n{format_table(['measure', 'weight'], weights)}"
    )


def _make_row(name: str, found: dict[str, Any]) -> list[str]:
    return [
        name,
        str(found["images"]),
        _percent(found["mean_dsc"]),
        _percent(found["mean_expected"]),
        _format_area(found["auroc_70"], found["below_70"]),
        _format_area(found["auroc_80"], found["below_80"]),
        f"{found['flagged']}",
        _percent(found["mean_dsc_kept"]),
        _percent(found["mean_dsc_flagged"]),
        f"{found['worst_tenth_flagged']} of {found['worst_tenth']}",
    ]


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _format_area(area: float | None, bad: int) -> str:
    """Format an area with the number of bad masks, without which it says little."""
    return f"{'–' if area is None else f'{area:.2f}'} ({bad} bad)"
