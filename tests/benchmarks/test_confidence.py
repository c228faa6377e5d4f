"""The choice of the constants of the confidence, and the published figures."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PilImage

from benchmarks.confidence.images import SETS, Maps, Sample, list_samples, write_maps
from benchmarks.confidence.report import RESULT, choose_weights, make_summaries
from benchmarks.confidence.results import SOURCES
from benchmarks.confidence.rows import measure_samples, read_rows
from benchmarks.confidence.statistics import (
    SHRINK,
    calibrate,
    compute_auroc,
    cross_validate,
    fit_weights,
    summarize,
)
from benchmarks.confidence.users import click_inside, pick_clusters
from benchmarks.pages.confidence import build_confidence
from benchmarks.pages.quality import PAGE
from s3net_jax.masks import CALIBRATIONS, CHECK_BELOW
from tests.pictures import save_lesion


def read_result() -> dict[str, Any]:
    return json.loads(RESULT.read_text())


@pytest.mark.parametrize("basis", CALIBRATIONS)
def test_weights_are_those_of_the_result_file(basis: str) -> None:
    content, calibration = read_result(), CALIBRATIONS[basis]
    weights = {"constant": calibration.constant, **calibration.weights}
    assert content["weights"][basis] == choose_weights(content["rows"], basis) == weights
    assert content["check_below"] == CHECK_BELOW
    errors = content["cross_validation"][basis]
    assert errors[f"{SHRINK:g}"] < 1.05 * min(errors.values())


def test_estimates_follow_from_the_measures() -> None:
    for row in read_result()["rows"]:
        calibration = CALIBRATIONS[row["basis"]]
        if row["evidence"]:
            assert set(row["evidence"]) == set(calibration.weights)
            expected = calibration.expect(row["evidence"])
            assert row["expected_dsc"] == pytest.approx(expected, abs=1e-4)
        else:
            assert row["expected_dsc"] == 0
        assert row["check"] == (row["expected_dsc"] < CHECK_BELOW)


def test_summaries_follow_from_the_rows() -> None:
    content = read_result()
    assert content["summaries"] == make_summaries(content["rows"])
    keys = [(r["data"], r["stem"], r["setting"], r["user"]) for r in content["rows"]]
    assert len(set(keys)) == len(keys) and {data for data, *_ in keys} == set(SETS)


def test_all_development_images_are_in_the_result_file() -> None:
    content = read_result()
    for setting in SOURCES:
        rows = [row for row in content["rows"] if row["setting"] == setting.name]
        wanted = 211 if setting.images is None else setting.images
        assert len(rows) == len(setting.users) * wanted
        assert content["configs"][setting.name] == setting.config.digest


def test_the_page_shows_the_result_file() -> None:
    assert build_confidence() in PAGE.read_text()


def test_the_flag_is_useful() -> None:
    """On the reported half: nearly all bad masks are flagged, and unflagged masks are good."""
    for basis in CALIBRATIONS:
        together = read_result()["summaries"][basis]["together"]
        assert together["auroc_70"] > 0.85 and together["auroc_80"] > 0.85
        assert together["mean_dsc_kept"] > together["mean_dsc"] > together["mean_dsc_flagged"]
        assert together["worst_tenth_flagged"] >= 0.9 * together["worst_tenth"]


def test_simulated_users() -> None:
    random = np.random.default_rng(0)
    clusters = random.integers(0, 5, (20, 24))
    truth = np.isin(clusters, (1, 3)) | (random.random(clusters.shape) < 0.05)
    assert pick_clusters(clusters, truth) == "label:1,3"
    for count in range(1, 5):  # no other union of clusters is better
        for group in itertools.combinations(range(5), count):
            mask = np.isin(clusters, group)
            score = 2 * (mask & truth).sum() / (mask.sum() + truth.sum())
            best = np.isin(clusters, (1, 3))
            assert score <= 2 * (best & truth).sum() / (best.sum() + truth.sum())
    disc = np.hypot(*np.mgrid[-9:11, -13:11]) < 5
    assert click_inside(clusters, disc) == "point:13,9"


def test_rows_are_kept_and_belong_to_their_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disc = save_lesion(tmp_path / "a.png")
    PilImage.fromarray(disc.astype(np.uint8) * np.uint8(255)).save(tmp_path / "truth.png")
    sample = Sample("ph2", tmp_path / "a.png", tmp_path / "truth.png", True)
    monkeypatch.setattr("benchmarks.confidence.images.fit_maps", lambda *_: Maps(steps, clusters))
    clusters = disc.astype(np.uint8)
    steps = np.stack([np.stack([disc, ~disc])] * 2).astype(np.uint8)
    best, fast = (next(one for one in SOURCES if one.name == name) for name in ("best", "fast"))
    said: list[str] = []
    for setting in (best, fast):
        write_maps([sample], setting.fits, tmp_path, said.append)
    measure_samples([sample], SOURCES, tmp_path, said.append)
    count = len(said)
    write_maps([sample], best.fits, tmp_path, said.append)
    measure_samples([sample], SOURCES, tmp_path, said.append)
    assert len(said) == count == 2 + 4  # the fits of best and of fast each give two kinds
    rows = read_rows([sample], SOURCES, tmp_path)
    assert [(row["setting"], row["user"], row["basis"]) for row in rows] == [
        *(("best", user, "choice" if user else "proposals") for user in best.users),
        ("robust", "", "traits"),
        *(("fast", user, "choice" if user else "clusters") for user in fast.users),
        ("fast, outline redrawn", "", "clusters"),
    ]
    assert all(row["dsc"] > 0.9 and row["expected_dsc"] > 0.8 for row in rows)
    monkeypatch.setattr("benchmarks.confidence.rows.digest_code", lambda: "0" * 12)
    assert read_rows([sample], SOURCES, tmp_path) == []  # measured by other code


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
        total = 0.0
        for row, score in zip(measures.tolist(), scores.tolist(), strict=True):
            logit = weights[0] + sum(w * x for w, x in zip(weights[1:], row, strict=True))
            total += (1 / (1 + math.exp(-logit)) - score) ** 2
        return total / len(scores) + 0.003 * sum(w * w for w in weights[1:].tolist())

    found = fit_weights(measures, scores, 0.003)
    assert found[1] > 1 and found[3] == 0  # no weight is negative
    for n in range(4):
        for step in (-0.05, 0.05):
            other = found.copy()
            other[n] += step
            if n == 0 or other[n] >= 0:
                assert loss(other) > loss(found)


def slow_expect(weights: np.ndarray, measures: np.ndarray) -> float:
    return 1 / (
        1 + math.exp(-(weights[0] + sum(w * x for w, x in zip(weights[1:], measures, strict=True))))
    )


def make_results() -> tuple[np.ndarray, np.ndarray, list[str]]:
    random = np.random.default_rng(0)
    measures = random.random((48, 2))
    scores = 1 / (1 + np.exp(-(-3 + measures @ [4, 3] + random.normal(0, 0.5, 48))))
    return measures, scores, [f"{n // 2}" for n in range(48)]  # two results of each image


def test_the_cross_validation_leaves_out_images() -> None:
    measures, scores, groups = make_results()
    found = cross_validate(lambda some: fit_weights(measures[some], scores[some]), measures, groups)
    images = sorted(set(groups))
    for n in (0, 1, 21, 40):
        fold = images.index(groups[n]) % 8
        used = [k for k, group in enumerate(groups) if images.index(group) % 8 != fold]
        assert not {groups[k] for k in used} & {groups[n]}
        weights = fit_weights(measures[used], scores[used])
        assert found[n] == pytest.approx(slow_expect(weights, measures[n]))


def test_the_calibration_undoes_the_shrinkage() -> None:
    measures, scores, groups = make_results()
    shrunk, found = fit_weights(measures, scores, 0.1), calibrate(measures, scores, groups, 0.1)
    ratio = found[1] / shrunk[1]
    assert ratio > 2 and found[2] / shrunk[2] == pytest.approx(ratio)
    # Images keep their order, and the error gets smaller.
    before, after = ([slow_expect(w, row) for row in measures.tolist()] for w in (shrunk, found))
    assert np.argsort(before).tolist() == np.argsort(after).tolist()
    errors = [np.mean((np.array(p) - scores) ** 2) for p in (before, after)]
    assert errors[1] < errors[0] / 2


def test_summary() -> None:
    rows = [{"dsc": d, "expected_dsc": e} for d, e in ((0.95, 0.9), (0.9, 0.7), (0.2, 0.3))]
    rows += [{"dsc": 0.75, "expected_dsc": 0.85}] * 8
    found = summarize(rows, 0.8)
    assert (found["number"], found["flagged"], found["below_70"], found["below_80"]) == (
        (11, 2, 1, 9)
    )
    assert (found["worst_tenth"], found["worst_tenth_flagged"]) == (2, 1)
    assert found["below_80_flagged"] == 1 and found["auroc_70"] == 1
    assert found["mean_dsc_flagged"] == pytest.approx(0.55)
    assert [one["number"] for one in found["bins"]] == [1, 1, 8, 1]


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
