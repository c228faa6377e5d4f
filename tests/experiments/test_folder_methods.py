"""Experiments with a method that trains one network on the images of a data set."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from s3net_jax import cli
from tests.experiments.files import save_data, write
from tests.fakes import resample_less

COMPARISON = """
kind = "comparison"
title = "methods"
[[methods]]
preset = "deepcluster"
set = { input.size = 24, model.channels = 6, model.blocks = 1, fit.steps = 2 }
[[methods]]
baseline = "k-means on RGB"
[data.skin]
images = "skin/images"
masks = "skin/masks"
"""
TUNING = """
kind = "tuning"
title = "search"
preset = "deepcluster"
[grid]
fit.learning_rate = [0.1, 0.2]
[data.skin]
images = "skin/images"
masks = "skin/masks"
"""
NOTE = "The seconds of deepcluster include an equal share of the training on all images."


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    resample_less(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("S3NET_CACHE", "off")
    save_data("skin")


@pytest.mark.slow
def test_a_comparison_trains_once_for_each_data_set(capsys) -> None:
    path = write(COMPARISON)
    assert cli.main(["compare", path, "--out", "out"]) == 0
    out, err = capsys.readouterr()
    assert NOTE in out and "Training one network on 2 images" in err
    assert NOTE in Path("out/table.md").read_text() and NOTE in Path("out/report.html").read_text()
    row = json.loads(Path("out/summary.json").read_text())["data"]["skin"][0]
    assert row["method"] == "deepcluster" and row["images"] == 2
    run = json.loads(Path("out/skin/deepcluster/predictions/run.json").read_text())
    assert row["seconds"] > run["networks"][0]["seconds"] / 2
    assert cli.main(["compare", path, "--out", "out"]) == 0
    assert "2 kept" in capsys.readouterr().out


def test_a_search_is_refused(capsys) -> None:
    assert cli.main(["tune", write(TUNING), "--out", "out"]) == 2
    assert "but a search fits every image: compare settings with" in capsys.readouterr().err
    assert not Path("out").exists()
