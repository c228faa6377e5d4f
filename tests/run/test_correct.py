"""Results in memory: other targets and marks, without a fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import s3net_jax as s3
from tests.fakes import install_fit
from tests.pictures import save_lesion

CONFIG = s3.preset("fast").replace(input={"size": 32}, fit={"steps": 2})
LOCAL = CONFIG.replace(segment={"boundary": "local"})


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install_fit(monkeypatch)
    monkeypatch.chdir(tmp_path)
    save_lesion(Path("a.png"))


def assert_same(found: s3.Segmentation, expected: s3.Segmentation) -> None:
    assert np.array_equal(found.labels, expected.labels)
    assert np.array_equal(found.mask, expected.mask)
    assert found.target == expected.target
    assert (found.clusters is None) == (expected.clusters is None)


@pytest.mark.parametrize("config", [CONFIG, LOCAL, LOCAL.replace(input={"tile": 32})])
def test_a_rule_gives_what_a_new_fit_would(config: s3.Config) -> None:
    result = s3.segment("a.png", config=config, target="bright")
    before = result.mask.copy()
    for rule in ("dark", "all", "point:3,4"):
        assert_same(result.retarget(rule), s3.segment("a.png", config=config, target=rule))
    assert np.array_equal(result.mask, before)


def test_clusters_are_kept_beneath_an_outline() -> None:
    assert s3.segment("a.png", config=CONFIG).clusters is None
    result = s3.segment("a.png", config=LOCAL)
    assert result.clusters is not None
    again = result.retarget("label:0")
    assert again.clusters is not None and np.array_equal(again.clusters, result.clusters)


def test_marks_correct_the_mask(tmp_path: Path) -> None:
    result = s3.segment("a.png", config=CONFIG, target="bright")
    better = result.correct(inside=[(32, 24)], outside=[(5, 5), (60, 40)])
    assert better.mask[24, 32] and not better.mask[5, 5]
    assert np.array_equal(np.isin(better.labels, better.target), better.mask)
    assert better.clusters is not None and np.array_equal(better.clusters, result.labels)
    strokes = np.zeros(result.mask.shape, bool)
    strokes[24, 32] = True
    same = result.correct(inside=strokes, outside=np.array([[5, 5], [60, 40]]))
    assert_same(same, better)
    back = better.retarget("bright")
    assert_same(back, result)
    assert set(better.save(tmp_path / "out")) == {"labels", "mask", "overlay"}


def test_wrong_targets_and_marks_are_refused() -> None:
    result = s3.segment("a.png", config=CONFIG)
    with pytest.raises(s3.ConfigError, match="There is no target 'drak'"):
        result.retarget("drak")
    with pytest.raises(s3.InputError, match="has no cluster 9"):
        result.retarget("label:9")
    with pytest.raises(s3.InputError, match="the point 99,0 is outside it"):
        result.retarget("point:99,0")
    with pytest.raises(s3.InputError, match="There are no marks"):
        result.correct()
    with pytest.raises(TypeError, match="Marks must be points"):
        result.correct(inside=3)  # pyright: ignore[reportArgumentType]
