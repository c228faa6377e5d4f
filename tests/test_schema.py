"""Records are written from their types, and what was published conforms to them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from s3net_jax.schema import (
    EvaluationSummary,
    GridSummary,
    RecordError,
    RunRecord,
    TuningSummary,
    conform,
    encode_lines,
    read_json,
    write_json,
)

FOLDER = Path(__file__).parents[1] / "docs/quality"
_OTHERS = ("choice", "confidence", "volumes")  # results of no experiment file
SUMMARIES = sorted(p for p in FOLDER.glob("*.json") if p.stem not in _OTHERS)
MEAN: Any = {"mean": 1.0, "low": 0.5, "high": 2, "count": 3}
EVALUATION: Any = {
    "methods": {"a": {"images": 3, "seconds": 1.0, "protocols": {"blind": {"dsc": MEAN}}}},
    "reference": "a",
    "comparisons": {"b": {**MEAN, "p_value": 0.5}},
    "protocols": {"blind": "x"},
    "config": {"preset": "fast"},
    "config_digest": "0",
    "seed": 0,
    "seeds": 1,
    "failed": 0,
    "versions": {"jax": "1"},
}


@pytest.mark.parametrize("path", SUMMARIES, ids=lambda path: path.stem)
def test_published_summaries_conform(path: Path) -> None:
    summary: GridSummary = read_json(path, GridSummary)
    assert summary["evaluations"]["done"] == summary["evaluations"]["of"]


@pytest.mark.parametrize("commit", [{}, {"commit": None}, {"commit": "0" * 40}])
def test_summaries_of_earlier_versions_have_no_commit(commit: dict[str, str | None]) -> None:
    conform({**EVALUATION, **commit}, EvaluationSummary, "")


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        (EvaluationSummary, {"commit": 7}, "commit must be text, got 7"),
        (EvaluationSummary, {"methods": {"a": {"images": 3}}}, "methods.a has no "),
        (EvaluationSummary, {"comparisons": {"b": MEAN}}, "comparisons.b has no p_value"),
        (EvaluationSummary, {"failed": -1}, "at least 0"),
        (GridSummary, {}, "it has no "),
        (TuningSummary, {}, "it has no "),
        (RunRecord, {"batch": [2]}, "batch must be a whole number or text, got a list"),
        (RunRecord, {"batch": True}, "batch must be a whole number or text, got true"),
    ],
)
def test_what_does_not_conform_is_named(kind: Any, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(RecordError, match=words):
        conform({**EVALUATION, **changes}, kind, "")


@pytest.mark.parametrize("batch", [4, "auto"])
def test_unions_of_plain_types(batch: int | str) -> None:
    conform({"config_digest": "0", "batch": batch}, RunRecord, "")


def test_names_that_are_no_text_survive(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"title": "\udcff ×", "shared": {}, "parts": {}})
    assert json.loads((tmp_path / "a.json").read_text())["title"] == "\udcff ×"
    lines = encode_lines([{"stem": "\udcff\n"}, {"stem": "b"}])
    assert lines.isascii() and lines.count(b"\n") == 2
