"""The search for settings of other methods: their loss weights vary in one program."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s3net_jax import cli
from s3net_jax.config import Config, ConfigError
from s3net_jax.experiments import read_tuning
from s3net_jax.experiments.tuning.fits import SettingFitter
from s3net_jax.experiments.tuning.settings import configure, list_settings, stack_settings
from s3net_jax.experiments.tuning.spec import find_varied_fields
from s3net_jax.presets import preset
from tests.experiments.files import save_data, write

TEXT = """
kind = "tuning"
title = "search"
preset = "sgscn"
set = { input.size = 32, model.channels = 4, fit.steps = 3, fit.stop_labels = 0 }
[grid]
method.weight_continuity = [0, 2, 5]
fit.learning_rate = [0.05, 0.1]
[data.skin]
images = "skin/images"
masks = "skin/masks"
"""


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("S3NET_CACHE", "off")


def read(text: str) -> Any:
    return read_tuning(Path(write(text)))


@pytest.mark.slow
def test_a_search_over_the_weights_of_a_method() -> None:
    save_data("skin", "a")
    assert cli.main(["tune", write(TEXT), "--out", "out", "--batch", "6"]) == 0
    summary = json.loads(Path("out/summary.json").read_text())
    assert summary["settings"] == 6, "the preset's own numbers are in the grid"
    assert set(summary["effects"]) == {"weight_continuity", "learning_rate"}
    assert "weight_continuity=2" in Path("out/scores.jsonl").read_text()
    with open("out/table.csv", newline="") as file:
        head = next(csv.reader(file))
    names = ["weight_ce", "learning_rate", "momentum", "weight_continuity", "weight_center"]
    assert head[:6] == [*names, "steps"]
    options = {row["options"] for row in summary["best"]}
    assert any("--set method.weight_continuity=2" in text for text in options)


@pytest.mark.slow
def test_a_sweep_over_weights_compiles_one_program(picture: np.ndarray) -> None:
    tuning = read(TEXT)
    settings = list_settings(tuning)
    programs: Any = sys.modules["s3net_jax.fitting.sharding"]
    programs.advance_fits.clear_cache()
    found = [*SettingFitter(tuning.config, limit=2).fit(picture, settings, 0)]
    assert len(found) == len(settings) == 6
    assert programs.advance_fits._cache_size() == 1, "three batches of two settings"
    # The weights had an effect: each setting gives the labels of a fit configured with it.
    losses = set()
    for setting in settings[:2]:
        config = configure(tuning.config, setting, 3)
        (single,) = SettingFitter(config, limit=1).fit(picture, [setting], 0)
        which = settings.index(setting)
        for one, other in zip(single, found[which], strict=True):
            assert one is not None and other is not None and np.mean(one != other) < 0.02
        losses.add(tuple(setting.values()))
    assert len(losses) == 2


def test_settings_hold_what_the_method_reads() -> None:
    tuning = read(TEXT)
    first = list_settings(tuning)[0]
    assert first == {
        "weight_ce": 1,
        "learning_rate": 0.1,
        "momentum": 0.9,
        "weight_continuity": 5,
        "weight_center": 1,
    }
    settings = list_settings(tuning)
    hyper = stack_settings(settings, tuning.config)
    assert set(hyper.own) == {"weight_continuity", "weight_center"}
    assert np.shape(hyper.own["weight_continuity"]) == (len(settings),)
    config = configure(tuning.config, settings[1], 2)
    assert config.method.weight_continuity == settings[1]["weight_continuity"]  # pyright: ignore
    fields = {"learning_rate": "fit", "momentum": "fit", "lambda_a": "method", "lambda_b": "method"}
    assert find_varied_fields(preset("iic-image")) == fields
    assert list(find_varied_fields(Config()))[:3] == [
        "weight_ce",
        "weight_affine",
        "weight_spatial",
    ]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            "method.weight_continuity",
            "loss.weight_spatial",
            "can't be varied here: choose from weight_ce",
        ),
        ("method.weight_continuity", "method.center", "from weight_continuity, weight_center"),
        ('"sgscn"', '"fast"', "varied here: s3net has no loss weights there"),
        ("method.weight_continuity", "method.weight_center", "has no effect with method.center=of"),
    ],
)
def test_mistakes_are_named(before: str, after: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(TEXT.replace(before, after))
