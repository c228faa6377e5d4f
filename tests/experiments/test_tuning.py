"""The search for settings: what it fits, what it finds, what it keeps."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image as PilImage

from s3net_jax import cli
from s3net_jax.config import Config, parse_overrides
from s3net_jax.evaluate import Pair
from s3net_jax.experiments import read_tuning
from s3net_jax.experiments.tuning import fits as fits_module
from s3net_jax.experiments.tuning.fits import SettingFitter
from s3net_jax.experiments.tuning.scores import Scorer
from s3net_jax.experiments.tuning.settings import configure, format_options, list_settings
from s3net_jax.experiments.tuning.spec import find_varied_fields
from s3net_jax.experiments.tuning.summary import summarise_tuning
from s3net_jax.fitting import fit
from s3net_jax.io import InputError
from s3net_jax.presets import PRESETS, preset
from s3net_jax.report.document import TABLE_FILES
from tests.experiments.files import TUNING, save_data, write


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("S3NET_CACHE", "off")


def run(*more: str, text: str = TUNING) -> int:
    return cli.main(["tune", write(text), "--out", "out", *more])


def test_settings() -> None:
    tuning = read_tuning(Path(write(TUNING)))
    settings = list_settings(tuning)
    assert len(settings) == 6, "the preset's own numbers are in the grid, and come first"
    assert settings[0] == {
        "weight_ce": 1.2,
        "weight_affine": 0.3,
        "weight_spatial": 0.3,
        "learning_rate": 0.36,
        "momentum": 0.9,
    }
    other = read_tuning(Path("experiment.toml"), overrides={"fit": {"momentum": 0.5}})
    assert len(list_settings(other)) == 6
    text = TUNING.replace("[0, 0.3]", "[0, 1]")
    assert len(list_settings(read_tuning(Path(write(text))))) == 7, "its own numbers are added"


@pytest.mark.parametrize("name", [n for n in PRESETS if preset(n).method.name == "s3net"])
def test_what_a_user_types(name: str) -> None:
    config = preset(name).replace(
        model={"local_kernels": (1, 3), "kernel_sizes": (3, 5), "dilations": (1, 4)},
        input={"size": 64},
        fit={"learning_rate": 0.125, "steps": 7},
        segment={"fill_holes": False},
    )
    words = format_options(config).split()
    assert words[:2] == ["--preset", name] and set(words[2::2]) == {"--set"}
    assert preset(words[1]).replace(**parse_overrides(words[3::2])) == config


@pytest.mark.slow
@pytest.mark.parametrize("stop", [0, 8])
def test_labels_after_every_step_are_those_of_fits_with_so_many_steps(
    picture: np.ndarray, stop: int
) -> None:
    config = Config().replace(
        model={"channels": 8, "blocks": 1, "block": "conv", "deform": "none"},
        loss={"affine": {"apply_at": "logits"}},
        fit={"steps": 5, "stop_labels": stop, "stop_after": 2},
    )
    fields = find_varied_fields(config)
    setting = dict(zip(fields, (1.2, 0.3, 0.3, 0.1, 0.9), strict=True))
    config = configure(config, setting, 5)
    (maps,) = SettingFitter(config).fit(picture, [setting], seed=3)
    assert len(maps) == 5
    for steps in (2, 5):
        single = fit(jax.random.key(3), jnp.asarray(picture), config.replace(fit={"steps": steps}))
        found = maps[steps - 1]
        assert found is not None and np.mean(found != np.asarray(single.labels)) < 0.01


@pytest.mark.slow
def test_a_search(capsys) -> None:
    save_data("skin")
    assert run("--batch", "4") == 0
    text = capsys.readouterr().out
    assert "b of skin (2 of 2): 6 settings, 3 steps" in text and "chosen by ground truth" in text
    summary = json.loads(Path("out/summary.json").read_text())
    assert summary["images"] == {"done": 2, "of": 2} and len(summary["best"]) == 6
    best = summary["best"][0]
    assert best["options"] in text and best["protocols"]["blind"]["count"] == 2
    with open("out/table.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6 * 3 and list(rows[0])[5:7] == ["steps", "blind"]
    highest = max(float(row["blind"]) for row in rows)
    assert highest == pytest.approx(best["protocols"]["blind"]["mean"], abs=2e-3)
    wild = [row for row in rows if row["learning_rate"] == "1e+30"]
    assert {float(row["oracle"]) for row in wild if row["steps"] == "3"} == {0}, "diverged"
    assert set(summary["effects"]) == {"weight_spatial", "learning_rate"}
    page = Path("out/report.html").read_text()
    assert best["options"] in page
    assert set(re.findall(r'(?:src|href)="([^"]*)', page)) == set(TABLE_FILES)
    assert all((Path("out") / name).is_file() for name in TABLE_FILES)
    assert "The best: `" in Path("out/table.md").read_text()
    assert run("--batch", "4", "--json") == 0
    event = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert event["event"] == "tables" and event["best"] == summary["best"]
    assert best["protocols"]["blind"].keys() >= {"mean", "low", "high"}


def test_a_point_is_one_of_the_picture() -> None:
    save_data("skin", "a")  # 70×60 pixels, a disc in the middle
    pair = Pair("a", Path("skin/images/a.png"), Path("skin/masks/a.png"))
    labels = [np.asarray(PilImage.open(pair.truth).resize((32, 32), PilImage.Resampling.NEAREST))]
    for point, right in (("35,30", True), ("27,20", True), ("16,16", False), ("69,59", False)):
        config = Config().replace(input={"size": 32}, segment={"target": f"point:{point}"})
        (found,) = Scorer(pair, config)([labels[0].astype(int)], (1,))["blind"]
        assert (found > 90) == right, point
    config = config.replace(segment={"target": "point:70,0"})
    with pytest.raises(InputError, match="has 70×60 pixels; the point 70,0 is outside it"):
        Scorer(pair, config)


def test_unusable_ground_truths_are_reported_before_the_first_fit(capsys) -> None:
    save_data("skin", "abc")
    Path("skin/masks/c.png").write_bytes(b"no picture")
    assert run("--set", "segment.target=point:65,70") == 1
    error = capsys.readouterr().err
    assert "images/a.png has 70×60 pixels; the point" in error and "masks/c.png can't" in error
    assert not Path("out").exists()


@pytest.mark.slow
def test_a_stopped_search_resumes(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    save_data("skin")
    whole, computed, stop = fits_module._fit_settings, 0, 3

    def count_fits(*arguments: Any) -> Any:
        nonlocal computed
        computed += 1
        if computed == stop:
            raise KeyboardInterrupt
        return whole(*arguments)

    monkeypatch.setattr(fits_module, "_fit_settings", count_fits)
    assert run("--batch", "2") == 130
    log = Path("out/scores.jsonl").read_bytes()
    assert len(log.splitlines()) == 4
    Path("out/scores.jsonl").write_bytes(log + b'{"stem": "skin/a se')  # a line cut by a crash
    stop = 0
    assert run("--batch", "2") == 0
    assert computed == 3 + 1 + 3, "one batch of the first image, three of the second"
    assert len(Path("out/scores.jsonl").read_bytes().splitlines()) == 12
    assert run() == 0 and computed == 7
    grown = TUNING.replace("[0, 0.3]", "[0, 0.3, 1]")
    assert run("--batch", "2", text=grown) == 0 and computed == 11, "three settings, two images"
    mask = Path("skin/masks/a.png")
    mask.write_bytes(mask.read_bytes() + b" ")
    assert run("--batch", "2") == 0 and computed == 14, "another ground truth is scored anew"
    capsys.readouterr()
    assert run("--set", "model.blocks=2") == 2
    assert "contains this experiment with other settings" in capsys.readouterr().err


@pytest.mark.slow
def test_batches_that_memory_does_not_hold(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    save_data("skin", "a")
    whole, sizes = fits_module._fit_settings, []

    def run_out_of_memory(pixels: Any, settings: Any, *more: Any) -> Any:
        sizes.append(len(settings))
        if len(settings) > 3:
            raise RuntimeError("RESOURCE_EXHAUSTED: out of memory")
        return whole(pixels, settings, *more)

    monkeypatch.setattr(fits_module, "_fit_settings", run_out_of_memory)
    assert run("--batch", "6") == 0
    assert sizes == [6, 3, 3] and "continuing with 3" in capsys.readouterr().out


def test_a_choice_is_checked_on_what_it_has_not_seen() -> None:
    tuning = read_tuning(Path(write(TUNING)))
    settings = list_settings(tuning)[:3]
    # Each image likes a setting of its own: what the others choose is bad for it.
    blind = np.full((3, 3, 3), 50.0)
    for n in range(3):
        blind[n, n] = 20
        blind[n, n, 2] = 95
    done: Any = {
        f"image {n}": [
            [
                {
                    "dsc": {
                        p: blind[n, s].tolist() for p in ("blind", "released", "overlap", "oracle")
                    }
                }
                for s in range(3)
            ]
        ]
        for n in range(3)
    }
    found = summarise_tuning(tuning, settings, done, 3)
    assert found["best"][0]["protocols"]["blind"]["mean"] == pytest.approx(65)
    assert found["left_out"] is not None and found["left_out"]["mean"] < 60


def test_volumes_are_refused(capsys) -> None:
    for folder in ("images", "masks"):
        Path("skin", folder).mkdir(parents=True)
        Path("skin", folder, "a.nii.gz").touch()
    assert run() == 2
    assert "is a volume, but s3net tune only accepts 2D images" in capsys.readouterr().err
