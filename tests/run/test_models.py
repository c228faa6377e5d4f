"""Runs that train one network on all inputs, and runs that apply a trained network."""

from __future__ import annotations

import contextlib
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s3net_jax import fitting
from s3net_jax.cli.display import QuietDisplay
from s3net_jax.errors import ConfigError, InputError, OutputError
from s3net_jax.io import prepare, read
from s3net_jax.masks import compact_labels, compute_labels
from s3net_jax.presets import preset
from s3net_jax.run import Rank, training
from s3net_jax.run.training import TrainingSet
from tests.fakes import install_training
from tests.pictures import save_lesion
from tests.processes import wait_until
from tests.run.small import lines, picture, run, run_json
from tests.volumes import ball

CONFIG = preset("deepcluster").replace(
    input={"size": 24}, model={"channels": 6, "blocks": 1}, fit={"steps": 2}
)


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    install_training(monkeypatch)


class Watcher(QuietDisplay):
    """Keep what a run says and shows."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.steps: list[tuple[int, int]] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def show_training(self, step: int, steps: int, loss: float) -> None:
        self.steps.append((step, steps))


def save(folder: Path, count: int = 3) -> Path:
    for n in range(count):
        save_lesion(folder / f"{n}.png", seed=n, shape=(40, 48))
    return folder


def forbid_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(TrainingSet, "train", fail)


def test_a_run_trains_once_and_applies_the_network(tmp_path: Path) -> None:
    folder, watcher = save(tmp_path / "in"), Watcher()
    (folder / "broken.png").write_text("no picture")
    config = CONFIG.replace(fit={"record_labels": True})  # as an evaluation does
    summary = run(tmp_path, folder, config=config, listener=watcher)
    assert (summary.done, summary.failed) == (3, 1)
    assert watcher.steps == [(1, 2), (2, 2)]
    assert watcher.said[0] == "1 of 4 inputs can't be read and are left out of the training."
    assert watcher.said[1] == "Training one network on 3 images with seed 0, 2 steps."
    assert watcher.said[2].endswith("the seconds of every image include an equal share.")
    model = fitting.read_network(tmp_path / "out/model.npz")
    assert model.config == CONFIG and model.training["images"] == 3
    (network,) = run_json(tmp_path)["networks"]
    assert network["file"] == "model.npz" and network["sha256"] == model.digest
    records = [record for record in lines(tmp_path) if "error" not in record]
    assert {record["networks"] for record in records} == {model.digest}
    assert all((record["steps"], record["loss"]) == (0, None) for record in records)
    assert sum(record["seconds"] for record in records) > network["seconds"]
    assert all("steps" not in record["outputs"] and not record["notes"] for record in records)
    history = json.loads((tmp_path / "out/0.history.json").read_text())
    assert history == {"fits": [{"piece": 0, "seed": 0, "steps": 0, "loss": [], "labels": []}]}
    image = read(folder / "1.png")
    logits = fitting.predict(model.params, prepare(image, CONFIG.input), CONFIG)
    expected = compact_labels(compute_labels(np.asarray(logits), image.shape))
    np.testing.assert_array_equal(picture(tmp_path / "out/1.labels.png"), expected)


def test_a_repeated_run_uses_the_network_again(tmp_path: Path, monkeypatch) -> None:
    folder = save(tmp_path / "in")
    (folder / "broken.png").write_text("no picture")
    run(tmp_path, folder, config=CONFIG)
    forbid_training(monkeypatch)
    summary = run(tmp_path, folder, config=CONFIG)
    assert (summary.done, summary.skipped, summary.failed) == (0, 3, 1)
    before = (tmp_path / "out/1.labels.png").read_bytes()
    (tmp_path / "out/1.labels.png").unlink()
    for n in range(2):  # rank 1 of 2 repairs the result
        found = run(tmp_path, folder, config=CONFIG, rank=Rank(n, 2))
        assert found.done == n
    assert (tmp_path / "out/1.labels.png").read_bytes() == before


@pytest.mark.slow
def test_other_inputs_are_refused_unless_the_network_is_named(tmp_path: Path) -> None:
    folder = save(tmp_path / "in")
    run(tmp_path, folder, config=CONFIG)
    save_lesion(folder / "3.png", seed=3)
    with pytest.raises(OutputError, match=r"npz was trained on other inputs \(1 new, 0 missing"):
        run(tmp_path, folder, config=CONFIG)
    with pytest.raises(OutputError, match=r"\(0 new, 1 missing\).*--overwrite; or .*--model"):
        run(tmp_path, folder / "0.png", folder / "1.png", config=CONFIG)
    model = tmp_path / "out/model.npz"
    before = model.read_bytes()
    summary = run(tmp_path, folder, config=CONFIG, model=model)
    assert (summary.done, summary.skipped) == (1, 3) and model.read_bytes() == before
    assert run_json(tmp_path)["networks"][0].keys() == {"file", "sha256"}
    summary = run(tmp_path, folder, config=CONFIG, overwrite=True)
    assert summary.done == 4 and fitting.read_network(model).training["images"] == 4
    model.unlink()
    with pytest.raises(OutputError, match="holds results of another trained network"):
        run(tmp_path, folder, config=CONFIG)


def test_other_settings_and_files_are_refused(tmp_path: Path) -> None:
    folder = save(tmp_path / "in", 2)
    run(tmp_path, folder, config=CONFIG)
    model = tmp_path / "out/model.npz"
    with pytest.raises(OutputError, match=r"was trained with fit\.steps=2 instead of 3: choose"):
        run(tmp_path, folder, config=CONFIG.replace(fit={"steps": 3}))
    with pytest.raises(OutputError, match=r"was trained with seed=0 instead of 5: choose"):
        run(tmp_path, folder, config=CONFIG, seed=5)
    with pytest.raises(ConfigError, match=r"belongs to another configuration"):
        run(tmp_path, folder, config=CONFIG.replace(model={"channels": 7}), model=model)
    with pytest.raises(ConfigError, match=r"same result for every seed, but 2 seeds are given"):
        run(tmp_path, folder, config=CONFIG, model=model, seeds=2)
    with pytest.raises(InputError, match=r"none\.npz can't be read: no such file"):
        run(tmp_path, folder, config=CONFIG, model=tmp_path / "none.npz")
    params = fitting.read_network(model).params
    fitting.save_params(model, params, CONFIG)
    with pytest.raises(
        OutputError, match=r"was not trained by s3net segment: apply it with --model"
    ):
        run(tmp_path, folder, config=CONFIG)
    model.write_text("no archive")
    with pytest.raises(OutputError, match=r"model\.npz is unreadable, damaged or no trained net"):
        run(tmp_path, folder, config=CONFIG)
    assert model.read_text() == "no archive"


def test_several_processes_do_not_train(tmp_path: Path) -> None:
    folder = save(tmp_path / "in", 2)
    with pytest.raises(ConfigError, match="2 processes share them: run the command once in a sing"):
        run(tmp_path, folder, config=CONFIG, rank=Rank(1, 2))


def test_every_seed_has_a_network(tmp_path: Path) -> None:
    folder = save(tmp_path / "in", 1)
    config = CONFIG.replace(segment={"choice": "proposals"})
    summary = run(tmp_path, folder, config=config, seed=4, seeds=2)
    assert summary.done == 1 and (tmp_path / "out/0.agreement.png").exists()
    networks = run_json(tmp_path)["networks"]
    assert [network["file"] for network in networks] == ["model-4.npz", "model-5.npz"]
    assert networks[0]["sha256"] != networks[1]["sha256"]
    (record,) = lines(tmp_path)
    assert "was trained on one image, although the preset deepcluster" in record["notes"][0]


def test_nothing_is_trained_if_nothing_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no picture")
    summary = run(tmp_path, tmp_path / "a.png", config=CONFIG)
    assert (summary.done, summary.failed) == (0, 1)
    assert not (tmp_path / "out/model.npz").exists() and "networks" not in run_json(tmp_path)


def test_slices_and_tiles_are_images(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    values = np.moveaxis(ball((40, 48, 4))[0], -1, 0)
    tifffile.imwrite(tmp_path / "stack.tif", values.astype(np.int16), photometric="minisblack")
    save_lesion(tmp_path / "a.png", shape=(40, 48))
    config = CONFIG.replace(input={"tile": 32})
    summary = run(tmp_path, tmp_path / "stack.tif", tmp_path / "a.png", config=config)
    assert summary.done == 2, summary.failures
    assert run_json(tmp_path)["networks"][0]["images"] == 4 + 4


def test_images_of_several_shapes_are_refused(tmp_path: Path) -> None:
    save_lesion(tmp_path / "in/a.png", shape=(40, 80))
    save_lesion(tmp_path / "in/b.png", shape=(80, 40))
    config = CONFIG.replace(input={"aspect": "keep", "size": 64})
    with pytest.raises(ConfigError, match=r"input\.aspect=keep gives 32×64 and 64×32 pixels"):
        run(tmp_path, tmp_path / "in", config=config)
    assert run_json(tmp_path)["status"] == "interrupted"


def test_a_training_that_diverges_is_one_sentence(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(fitting, "fit_dataset", lambda *_, **__: {"a": np.full(2, np.nan)})
    with pytest.raises(ConfigError, match=r"diverged: lower fit\.learning_rate \(now 0\.05\)"):
        run(tmp_path, save(tmp_path / "in", 2), config=CONFIG)
    assert not (tmp_path / "out/model.npz").exists()


def test_an_interrupted_training_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began, ended = threading.Event(), threading.Event()

    def train_forever(*_: Any, progress: Any, **__: Any) -> None:
        try:
            while True:
                progress(1, {"loss": 1.0})
                began.set()
        finally:
            ended.set()

    def interrupt(compute: Any) -> None:
        def compute_in_vain() -> None:
            with contextlib.suppress(Exception):
                compute()

        threading.Thread(target=compute_in_vain, daemon=True).start()
        assert wait_until(began.is_set)
        raise KeyboardInterrupt

    monkeypatch.setattr(fitting, "fit_dataset", train_forever)
    monkeypatch.setattr(training, "run_in_thread", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, save(tmp_path / "in", 2), config=CONFIG)
    assert wait_until(ended.is_set)
    assert run_json(tmp_path)["status"] == "interrupted"
