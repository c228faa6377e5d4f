"""Summarize the masks of both presets for each data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.choice.measure import PRESETS
from benchmarks.confidence.images import SETS

__all__ = ["RESULT", "summarize"]

RESULT = Path(__file__).parents[2] / "docs/quality/choice.json"


def summarize(rows: Sequence[dict[str, Any]], is_reported: bool) -> dict[str, dict[str, Any]]:
    """Summarize one half of the images: number, means, and worst tenths, for each data set.

    Args:
      rows: rows of :func:`benchmarks.choice.measure.draw_masks` with ``ceiling``, the DSC of the
        best candidate.
      is_reported: which half to summarize.
    """
    result: dict[str, dict[str, Any]] = {}
    for data in SETS:
        some = [row for row in rows if row["data"] == data and row["reported"] == is_reported]
        summary: dict[str, Any] = {"images": len(some)}
        for name in (*PRESETS, "ceiling"):
            values = np.sort([row[name] for row in some])
            worst = values[: max(1, round(len(values) / 10))]
            summary[name] = round(float(values.mean()), 4)
            summary[f"{name}_worst_tenth"] = round(float(worst.mean()), 4)
        result[data] = summary
    return result
