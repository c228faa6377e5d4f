"""Build the tables of masks after simulated clicks, in ``docs/correct.md``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pages.tables import format_short_table
from s3net_jax.evaluate import estimate_mean

__all__ = ["PAGE", "build_click_table", "build_solver_table"]

PAGE = Path(__file__).parents[2] / "docs/correct.md"

_RESULT = PAGE.parent / "correct/marks.json"
_CLICKS = (0, 1, 3, 5)
_NAMES = {
    "polyps (kvasir_sessile)": ("kvasir_sessile",),
    "lesions (isic2017, ph2)": ("isic2017", "ph2"),
}
"""Name of a row → its data sets."""


def build_click_table() -> str:
    """Return the mean DSC after clicks, with bootstrap intervals."""
    rows = []
    for name, sets in _NAMES.items():
        images = [image for one in sets for image in _read()["sets"][one]]
        scores = np.array([image["dsc"] for image in images])
        clusters = np.mean([image["clusters"] for image in images])
        cells = [f"{name}, {len(images)} images", f"{clusters:.1f}"]
        for count in _CLICKS:
            found = estimate_mean(scores[:, count])
            cells.append(f"{found.mean:.1f} ({found.low:.1f}–{found.high:.1f})")
        rows.append(cells)
    return format_short_table(["images", "clusters", *_name_clicks()], rows)


def build_solver_table() -> str:
    """Return the mean DSC of every candidate on the development images."""
    scores = _read()["development"]["dsc"]
    rows = [[name, *(f"{dsc[count]:.1f}" for count in _CLICKS)] for name, dsc in scores.items()]
    head = f"solver, {_read()['development']['images']} development images"
    return format_short_table([head, *_name_clicks()], rows)


def _name_clicks() -> list[str]:
    names = {0: "no click", 1: "1 click"}
    return [names.get(count, f"{count} clicks") for count in _CLICKS]


def _read() -> dict[str, Any]:
    return json.loads(_RESULT.read_text())
