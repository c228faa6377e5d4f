"""Format the summary of an evaluation, as text for the terminal and as data for programs."""

from __future__ import annotations

from typing import Any

from s3net_jax.criteria import get_criteria
from s3net_jax.schema import EvaluationSummary
from s3net_jax.text import escape_unseen

__all__ = ["collect_scores", "format_table"]


def collect_scores(summary: EvaluationSummary) -> dict[str, Any]:
    """Select the scores for ``--json``: every method's means with intervals under every protocol,
    and the comparisons."""
    return {
        "reference": summary["reference"],
        "methods": summary["methods"],
        "comparisons": summary["comparisons"],
        "failed": summary["failed"],
    }


def format_table(summary: EvaluationSummary) -> str:
    """Format the main table (for masks the mean DSC under every protocol), and the comparisons."""
    criteria = get_criteria(summary["protocols"])
    names = list(summary["methods"])
    shown = {name: escape_unseen(name) for name in names}
    width = max(map(len, shown.values()))
    head = " ".join(f"{column.heading:>18}" for column in criteria.columns)
    lines = [f"{criteria.heading:<{width}} {head}    seconds images"]
    for name in names:
        row = summary["methods"][name]
        cells = []
        for column in criteria.columns:
            found = row["protocols"][column.protocol][column.metric]
            digits = criteria.metrics[column.metric].digits
            low, high = (f"{found[end]:4.{digits}f}" for end in ("low", "high"))
            cells.append(f"{found['mean']:5.{digits}f} ({low}–{high})")
        lines.append(
            f"{shown[name]:<{width}} {' '.join(f'{c:>18}' for c in cells)} {row['seconds']:10.2f} "
            f"{row['images']:6d}"
        )
    if "training_seconds" in summary:
        name = escape_unseen(summary["reference"])
        lines.append(
            f"The seconds of {name} include an equal share of its training, which took "
            f"{summary['training_seconds']:.1f} s."
        )
    if summary["comparisons"]:
        reference = escape_unseen(summary["reference"])
        lines += [
            "",
            f"{criteria.main} of {reference} minus that of each method below, paired by image:",
        ]
    for name, found in summary["comparisons"].items():
        spread = f"({found['low']:+z.1f} to {found['high']:+z.1f})"
        p = f"Wilcoxon p = {found['p_value']:.2g}"
        lines.append(f"  {shown[name]:<{width}} {found['mean']:+z6.1f} {spread}, {p}")
    return "\n".join(lines)
