"""The choice of the constants of the confidence, and the published figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.confidence.images import SETS, list_samples
from benchmarks.confidence.report import RESULT, choose_weights, make_summaries
from benchmarks.confidence.statistics import compute_auroc, fit_weights, summarize
from benchmarks.pages.confidence import build_confidence
from benchmarks.pages.quality import PAGE
from s3net_jax.masks import CHECK_BELOW, EVIDENCE, WEIGHTS, expect_dsc


def read_result() -> dict[str, Any]:
    return json.loads(RESULT.read_text())


def test_weights_are_those_of_the_result_file() -> None:
    content = read_result()
    assert content["weights"] == choose_weights(content["rows"]) == WEIGHTS
    assert content["check_below"] == CHECK_BELOW


def test_estimates_follow_from_the_measures() -> None:
    for row in read_result()["rows"]:
        assert set(row["evidence"]) == set(EVIDENCE)
        assert row["expected_dsc"] == pytest.approx(expect_dsc(row["evidence"]), abs=1e-4)
        assert row["check"] == (row["expected_dsc"] < CHECK_BELOW)


def test_summaries_follow_from_the_rows() -> None:
    content = read_result()
    assert content["summaries"] == make_summaries(content["rows"])
    stems = [(row["data"], row["stem"]) for row in content["rows"]]
    assert len(set(stems)) == len(stems) and {data for data, _ in stems} <= set(SETS)


def test_the_page_shows_the_result_file() -> None:
    assert build_confidence() in PAGE.read_text()


def test_the_flag_is_useful() -> None:
    """On the reported half: nearly all bad masks are flagged, and unflagged masks are good."""
    together = read_result()["summaries"]["together"]
    assert together["auroc_70"] > 0.85 and together["auroc_80"] > 0.85
    assert together["mean_dsc_kept"] > together["mean_dsc"] > together["mean_dsc_flagged"]


def slow_auroc(values: np.ndarray, is_bad: np.ndarray) -> float:
    wins = [
        1.0 if bad < good else 0.5 if bad == good else 0.0
        for bad in values[is_bad]
        for good in values[~is_bad]
    ]
    return sum(wins) / len(wins)


@pytest.mark.parametrize("seed", range(3))
def test_auroc(seed: int) -> None:
    random = np.random.default_rng(seed)
    values, is_bad = random.integers(0, 8, 40) / 8, random.random(40) < 0.3
    found = compute_auroc(values, is_bad)
    assert found == pytest.approx(slow_auroc(values, is_bad))
    assert compute_auroc(values, np.zeros(40, bool)) is None
    assert compute_auroc(np.arange(4.0), np.arange(4) < 2) == 1


def test_fitted_weights_are_the_best() -> None:
    random = np.random.default_rng(0)
    measures = random.random((60, 3))
    scores = 1 / (1 + np.exp(-(-2 + measures @ [5, 0, -3])))

    def loss(weights: np.ndarray) -> float:
        p = 1 / (1 + np.exp(-(weights[0] + measures @ weights[1:])))
        entropy = -np.mean(scores * np.log(p) + (1 - scores) * np.log(1 - p))
        return entropy + 0.003 * float(weights[1:] @ weights[1:])

    found = fit_weights(measures, scores)
    assert found[1] > 1 and found[3] == 0  # no weight is negative
    for n in range(4):
        for step in (-0.05, 0.05):
            other = found.copy()
            other[n] += step
            if n == 0 or other[n] >= 0:
                assert loss(other) > loss(found)


def test_summary() -> None:
    rows = [{"dsc": d, "expected_dsc": e} for d, e in ((0.95, 0.9), (0.9, 0.7), (0.2, 0.3))]
    rows += [{"dsc": 0.75, "expected_dsc": 0.85}] * 8
    found = summarize(rows, 0.8)
    assert (found["images"], found["flagged"], found["below_70"], found["below_80"]) == (
        (11, 2, 1, 9)
    )
    assert (found["worst_tenth"], found["worst_tenth_flagged"]) == (2, 1)
    assert found["below_80_flagged"] == 1 and found["auroc_70"] == 1
    assert found["mean_dsc_flagged"] == pytest.approx(0.55)
    assert [one["images"] for one in found["bins"]] == [1, 1, 8, 1]


def test_every_second_image_is_reported(tmp_path: Path) -> None:
    for data in SETS:
        for kind in ("images", "masks"):
            folder = tmp_path / data / kind
            folder.mkdir(parents=True)
            for name in "cab":
                (folder / f"{name}.png").touch()
    found = list_samples(tmp_path)
    assert len(found) == 3 * len(SETS) and [s.data for s in found[: len(SETS)]] == list(SETS)
    assert {s.image.stem for s in found if s.is_reported} == {"b"}
    (tmp_path / "busi/masks/b.png").unlink()
    with pytest.raises(FileNotFoundError, match="has no mask"):
        list_samples(tmp_path)
