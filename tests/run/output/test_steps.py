"""Test histories and films: which steps are kept, how labels are aligned, what is written."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image as PilImage

from s3net_jax.cli.display import QuietDisplay
from s3net_jax.config import Config
from s3net_jax.fitting import fit_batch
from s3net_jax.io import InputError, read_film
from s3net_jax.presets import preset
from s3net_jax.run import LocalEngine, Summary, segment_inputs
from s3net_jax.run.output.history import read_history
from s3net_jax.run.output.log import ResultLog
from s3net_jax.run.output.steps import choose_steps
from tests.fakes import fit_brightness, install_fit
from tests.pictures import save_lesion

CONFIG = preset("fast").replace(input={"size": 32}, fit={"steps": 12})
FILMED = CONFIG.replace(fit={"record_labels": True})


def run(tmp_path: Path, config: Config = FILMED, **options: Any) -> Summary:
    return segment_inputs(
        [tmp_path / "a.png"],
        tmp_path / "out",
        config,
        engine=LocalEngine(config, batch=1),
        listener=QuietDisplay(),
        **options,
    )


def renumber(key: Any, image: Any, config: Config, **more: Any) -> Any:
    """Number three ranges of brightness differently in every step.

    The first step has a fourth cluster, the upper rows.
    """
    result = fit_brightness(key, image, config, **more)
    if result.label_maps is None:
        return result
    maps = np.asarray(result.label_maps).copy()
    for step in range(len(maps)):
        maps[step] = np.random.default_rng(step).permutation(64)[maps[step]]
    maps[0, :8] = 63 if 63 not in maps[0] else 62
    return dataclasses.replace(result, label_maps=maps)


def test_a_history_of_every_fit(tmp_path: Path, monkeypatch) -> None:
    install_fit(monkeypatch)
    save_lesion(tmp_path / "a.png")
    assert run(tmp_path, CONFIG, seed=5, seeds=2).done == 1
    fits = read_history(tmp_path / "out/a.history.json")
    assert [(fit["piece"], fit["seed"], fit["steps"]) for fit in fits] == [(0, 5, 12), (0, 6, 12)]
    np.testing.assert_allclose(fits[1]["loss"], np.linspace(1, 0.5, 12), rtol=1e-5)
    assert (fits[0]["labels"] == 3).all() and not (tmp_path / "out/a.steps.png").exists()
    record = ResultLog(tmp_path / "out/results.jsonl").get("a")
    assert record is not None and record.get("outputs", {})["history"] == "a.history.json"


def test_what_is_not_finite_is_null(tmp_path: Path, monkeypatch) -> None:
    def odd(*args: Any, **more: Any) -> Any:
        result = fit_brightness(*args, **more)
        history = {**result.history, "spatial": result.history["spatial"].at[3].set(np.inf)}
        return dataclasses.replace(result, history=history)

    install_fit(monkeypatch, odd)
    save_lesion(tmp_path / "a.png")
    run(tmp_path, CONFIG)
    text = (tmp_path / "out/a.history.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail)["fits"][0]["spatial"][3] is None
    (fit,) = read_history(tmp_path / "out/a.history.json")
    assert np.flatnonzero(np.isnan(fit["spatial"])).tolist() == [3]


def test_the_same_cluster_has_the_same_colour_in_every_frame(tmp_path: Path, monkeypatch) -> None:
    install_fit(monkeypatch, renumber)
    save_lesion(tmp_path / "a.png")
    assert run(tmp_path, seeds=2).done == 1
    film = read_film(tmp_path / "out/a.steps.png")
    assert [strip.name for strip in film.strips] == ["seed 0", "seed 1"]
    with PilImage.open(tmp_path / "out/a.labels.png") as file:
        labels = np.asarray(file)
    for strip in film.strips:
        assert strip.titles[0] == "step 1" and strip.titles[-2:] == ("step 12", "result")
        assert len(strip.titles) == len(strip.counts) == len(strip.frames) <= 11
        assert strip.frames.shape[1:] == labels.shape, "no larger than the image"
        np.testing.assert_array_equal(strip.frames[-1], labels)
        for frame in strip.frames[1:]:
            assert np.mean(frame == labels) > 0.95
        first = strip.frames[0]
        assert np.mean(first[14:] == labels[14:]) > 0.95
        assert (first[:8] > labels.max()).mean() > 0.9, "what merged later has a number of its own"


@pytest.mark.slow
def test_films_are_made_when_they_are_asked_for(tmp_path: Path, monkeypatch) -> None:
    install_fit(monkeypatch)
    save_lesion(tmp_path / "a.png")
    assert run(tmp_path, CONFIG).done == 1
    assert run(tmp_path).done == 1, "the same configuration, but a file is missing"
    assert (tmp_path / "out/a.steps.png").exists()
    assert run(tmp_path).skipped == 1 and run(tmp_path, CONFIG).skipped == 1
    run(tmp_path, CONFIG.replace(fit={"steps": 3}), overwrite=True)
    assert not (tmp_path / "out/a.steps.png").exists(), "of another configuration"
    (tmp_path / "out/a.history.json").unlink()
    assert run(tmp_path, CONFIG.replace(fit={"steps": 3})).done == 1


def test_a_kill_between_the_files_loses_one_result(tmp_path: Path, monkeypatch) -> None:
    import s3net_jax.run.output.files as outputs

    install_fit(monkeypatch)
    save_lesion(tmp_path / "a.png")

    def kill(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(outputs, "write_film", kill)
        run(tmp_path)
    assert (tmp_path / "out/a.history.json").exists()
    assert run(tmp_path).done == 1 and run(tmp_path).skipped == 1
    assert not list((tmp_path / "out").glob(".*"))


def test_large_pictures_have_small_frames(tmp_path: Path, monkeypatch) -> None:
    install_fit(monkeypatch)
    save_lesion(tmp_path / "a.png", shape=(300, 500))
    run(tmp_path)
    assert read_film(tmp_path / "out/a.steps.png").strips[0].frames.shape[1:] == (115, 192)


def test_tiles_show_the_piece_in_the_middle(tmp_path: Path, monkeypatch) -> None:
    install_fit(monkeypatch)
    save_lesion(tmp_path / "a.png", shape=(96, 96))
    run(tmp_path, FILMED.replace(input={"tile": 64}))
    (strip,) = read_film(tmp_path / "out/a.steps.png").strips
    assert strip.name == "tile 3 of 4, seed 0" and strip.frames.shape[1:] == (64, 64)
    assert len(read_history(tmp_path / "out/a.history.json")) == 4


@pytest.mark.parametrize("read", [read_film, read_history])
def test_other_files_are_refused(tmp_path: Path, read: Any) -> None:
    save_lesion(tmp_path / "a.png")
    for path in (tmp_path / "a.png", tmp_path / "missing"):
        with pytest.raises(InputError, match="written by s3net"):
            read(path)


def test_choose_steps() -> None:
    assert choose_steps(1) == [1] and choose_steps(10) == list(range(1, 11))
    for steps in (11, 17, 50, 400):
        found = choose_steps(steps)
        assert found[0] == 1 and found[-1] == steps and 5 < len(found) <= 10


def test_chosen_steps_are_closer_together_at_the_start() -> None:
    """The n-th of ten steps is at (n / 9)^2.5 of the range; equal ones are merged."""
    assert choose_steps(11) == [1, 2, 3, 5, 6, 8, 11]
    assert choose_steps(50) == [1, 2, 4, 7, 12, 19, 27, 38, 50]
    assert choose_steps(400) == [1, 3, 10, 27, 54, 93, 146, 214, 298, 400]


@pytest.mark.slow
def test_recording_changes_neither_the_digest_nor_a_bit() -> None:
    config = CONFIG.replace(model={"channels": 8}, fit={"steps": 3})
    recorded = config.replace(fit={"record_labels": True})
    assert recorded.digest == config.digest
    keys = jax.random.split(jax.random.key(0), 1)
    images = jax.random.uniform(jax.random.key(1), (1, 32, 32, 3))
    one, two = (fit_batch(keys, images, c) for c in (config, recorded))
    np.testing.assert_array_equal(one.logits, two.logits)
    assert two.label_maps is not None
