"""The command with a method that trains one network on all inputs, and with --model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.calling import s3net
from tests.fakes import install_training
from tests.pictures import save_lesion

TINY = ["--preset", "deepcluster", "--size", "24", "--set", "model.channels=6"]
TINY += ["--set", "model.blocks=1", "--set", "fit.steps=2"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("S3NET_CACHE", "off")
    for n in range(2):
        save_lesion(tmp_path / f"in/{n}.png", seed=n, shape=(40, 48))
    save_lesion(tmp_path / "new/a.png", seed=7, shape=(40, 48))


@pytest.mark.slow
def test_a_folder_is_trained_on_and_new_images_are_predicted(capsys) -> None:
    code, out, err = s3net(capsys, "segment", "in", "--out", "out", *TINY)
    assert code == 0, err
    shown = out.splitlines()
    assert shown[0] == "preset deepcluster: 24×24 pixels, 6 channels, 2 steps, seed 0"
    assert shown[1] == "reading: 2 images"
    assert [line.partition(",")[0] for line in shown[2:4]] == [
        "training: step 1/2",
        "training: step 2/2",
    ]
    assert shown[4].startswith("[1/2] in/0.png: ") and "predicted, " in shown[4]
    assert "note: Training one network on 2 images with seed 0, 2 steps." in err
    code, out, err = s3net(capsys, "segment", "new", "--model", "out/model.npz", "--out", "more")
    assert code == 0 and "training" not in out and "1 done, " in out, err
    assert "note: Applying the network in out/model.npz." in err
    code, out, err = s3net(capsys, "segment", "in", "new", "--out", "out", *TINY)
    assert code == 2 and "out/model.npz was trained on other inputs (1 new, 0 missing)" in err
    code, out, err = s3net(capsys, "segment", "in", "new", "-o", "out", "--model", "out/model.npz")
    assert code == 0 and "1 done, 2 kept" in out, err


def test_json_has_lines_of_the_training(capsys) -> None:
    code, out, err = s3net(capsys, "segment", "in", "--out", "out", "--json", *TINY)
    events = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and not err
    found = [event for event in events if event["event"] == "training"]
    assert [(event["step"], event["steps"]) for event in found] == [(1, 2), (2, 2)]


def test_settings_without_effect_are_noted(capsys, monkeypatch) -> None:
    install_training(monkeypatch)
    code, _, err = s3net(capsys, "segment", "in", "-o", "out", *TINY, "--set", "fit.members=3")
    assert code == 0 and "fit.members has no effect with the preset deepcluster, which" in err


def test_a_wrong_model_is_one_sentence(capsys) -> None:
    code, _, err = s3net(capsys, "segment", "in", "--out", "out", "--model", "none.npz")
    assert code == 1 and err == "s3net: none.npz can't be read: no such file or directory.\n"
    Path("text.npz").write_text("text")
    code, _, err = s3net(capsys, "segment", "in", "--out", "out", "--model", "text.npz")
    assert code == 1 and err.startswith("s3net: text.npz is no file of parameters, or it is damag")
    assert not Path("out").exists()


@pytest.mark.slow
def test_workers_read_the_network(capsys) -> None:
    assert s3net(capsys, "segment", "in", "--out", "out", *TINY)[0] == 0
    more = ["--engine", "processes", "--workers", "2"]
    code, _, err = s3net(capsys, "segment", "in", "--out", "other", *TINY, *more)
    assert code == 0, err
    for n in range(2):
        one, other = (Path(f"{out}/{n}.labels.png").read_bytes() for out in ("out", "other"))
        assert one == other
    run = json.loads(Path("other/run.json").read_text())
    assert run["engine"] == "processes" and run["networks"][0]["images"] == 2


@pytest.mark.slow
def test_an_evaluation_shares_the_seconds_of_the_training(capsys, tmp_path: Path) -> None:
    from tests.experiments.files import save_data

    save_data("skin")
    data = ["--images", "skin/images", "--masks", "skin/masks"]
    code, out, err = s3net(capsys, "evaluate", *data, "--out", "scores", *TINY)
    assert code == 0, err
    assert "The seconds of s3net deepcluster include an equal share of its training" in out
    summary = json.loads(Path("scores/summary.json").read_text())
    row = summary["methods"]["s3net deepcluster"]
    assert row["seconds"] > summary["training_seconds"] / 2 > 0
    assert "with a share of the training" in Path("scores/report.html").read_text()
    model = "scores/predictions/model.npz"
    code, out, err = s3net(capsys, "evaluate", *data, "--out", "again", "--model", model)
    assert code == 0 and "include an equal share" not in out, err
