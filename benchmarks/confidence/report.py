"""Choose the weights, summarize the rows, and write ``docs/quality/confidence.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.confidence.images import SETS, SKIN
from benchmarks.confidence.results import SOURCES, Row
from benchmarks.confidence.statistics import calibrate, cross_validate, summarize
from s3net_jax.masks import CALIBRATIONS, CHECK_BELOW
from s3net_jax.provenance import collect_versions, find_commit

__all__ = ["CHOSEN_ON", "RESULT", "choose_weights", "make_summaries", "write_report"]

RESULT = Path(__file__).parents[2] / "docs/quality/confidence.json"

CHOSEN_ON: Mapping[str, tuple[str, ...]] = {
    "proposals": ("best",),
    "traits": ("robust",),
    "clusters": ("fast", "fast, outline redrawn"),
    "choice": ("best", "fast"),
}
"""Settings whose rows the weights of each basis are chosen on."""

_TRIED = (1e-2, 3e-3, 1e-3, 3e-4, 1e-4)  # values for `statistics.SHRINK`
ALL, CHOICE = "together", "together, half of the choice"


def write_report(rows: Sequence[Row], more: Mapping[str, Any]) -> None:
    """Write the result file.

    It has a row for each result, the figures of both halves, and the weights that the first half
    gives, to be copied into ``s3net_jax/masks/confidence/calibrations.py``.

    Args:
      rows: rows of all results.
      more: further entries of the file, about volumes.
    """
    rows = [_estimate(row) for row in rows]
    content = {
        "title": "Confidence without ground truth",
        "seed": 0,
        "check_below": CHECK_BELOW,
        "configs": {setting.name: setting.config.digest for setting in SOURCES},
        "weights": {basis: choose_weights(rows, basis) for basis in CALIBRATIONS},
        "cross_validation": {basis: validate_shrinkage(rows, basis) for basis in CALIBRATIONS},
        "summaries": make_summaries(rows),
        **more,
        "versions": collect_versions(),
        "commit": find_commit(),
    }
    text = json.dumps(content, indent=1)
    lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
    RESULT.write_text(f'{text[:-2]},\n "rows": [\n{lines}\n ]\n}}\n')


def _estimate(row: Row) -> Row:
    """Compute the expected DSC with the weights of today from the measures of a row."""
    calibration, evidence = CALIBRATIONS[row["basis"]], row["evidence"]
    expected = round(calibration.expect(evidence), 4) if evidence else 0.0
    return {
        **row,
        "expected_dsc": expected,
        "check": expected < CHECK_BELOW,
        "evidence": {name: evidence[name] for name in calibration.weights} if evidence else {},
    }


def choose_weights(rows: Sequence[Row], basis: str) -> dict[str, float]:
    """Fit the weights of one basis on the half of the images that is not reported.

    Returns:
      The constant and the weight of each measure; three decimals.
    """
    names = ("constant", *CALIBRATIONS[basis].weights)
    found = calibrate(*_make_table(rows, basis))
    return {n: round(float(w), 3) for n, w in zip(names, found, strict=True)}


def validate_shrinkage(rows: Sequence[Row], basis: str) -> dict[str, float]:
    """Compute the mean squared error of a cross-validation on the half of the choice.

    Returns:
      The error for each of :data:`_TRIED`.
    """
    measures, scores, groups = _make_table(rows, basis)
    errors = {}
    for shrink in _TRIED:

        def fit(some: np.ndarray, shrink: float = shrink) -> np.ndarray:
            own = [group for group, is_used in zip(groups, some, strict=True) if is_used]
            return calibrate(measures[some], scores[some], own, shrink)

        expected = cross_validate(fit, measures, groups)
        errors[f"{shrink:g}"] = round(float(((expected - scores) ** 2).mean()), 5)
    return errors


def _make_table(rows: Sequence[Row], basis: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Collect what the weights of a basis are fitted on: measures, DSC and image of each result."""
    names = list(CALIBRATIONS[basis].weights)
    chosen = [row for row in select_rows(rows, basis, CHOSEN_ON[basis], False) if row["evidence"]]
    measures = np.array([[row["evidence"][name] for name in names] for row in chosen])
    groups = [f"{row['data']} {row['stem']}" for row in chosen]
    return measures, np.array([row["dsc"] for row in chosen]), groups


def select_rows(
    rows: Sequence[Row], basis: str, settings: Sequence[str], is_reported: bool | None
) -> list[Row]:
    """Select the rows of one basis, of some settings, and of one half or, with None, of both."""
    return [
        row
        for row in rows
        if row["basis"] == basis
        and row["setting"] in settings
        and (is_reported is None or row["reported"] == is_reported)
    ]


def make_summaries(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Summarize the results of each basis, and those of further single label maps.

    Of each basis: the reported half of each data set, of skin and together, and the other half.
    Ultrasound and polyps fail so clearly that they raise the figures of all sets together; those of
    skin show how well bad masks are found within one domain. Of the further settings (``transfer``)
    both halves count, since nothing is chosen on them.
    """
    summaries: dict[str, dict[str, Any]] = {}
    for basis, settings in CHOSEN_ON.items():
        reported = select_rows(rows, basis, settings, True)
        sets = {name: [row for row in reported if row["data"] == name] for name in SETS}
        parts = {name: found for name, found in sets.items() if found}
        parts["skin, together"] = [row for row in reported if row["data"] in SKIN]
        parts[ALL] = reported
        for setting in settings if len(settings) > 1 else ():
            parts[f"{ALL}, {setting}"] = [row for row in reported if row["setting"] == setting]
        parts[CHOICE] = select_rows(rows, basis, settings, False)
        summaries[basis] = {name: summarize(found, CHECK_BELOW) for name, found in parts.items()}
    used = {name for settings in CHOSEN_ON.values() for name in settings}
    others = [s.name for s in SOURCES if s.name not in used]
    found = {name: [row for row in rows if row["setting"] == name] for name in others}
    summaries["transfer"] = {n: summarize(part, CHECK_BELOW) for n, part in found.items() if part}
    return summaries
