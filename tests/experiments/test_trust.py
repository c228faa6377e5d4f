"""Experiment files, and what lies in an experiment's folder, may hold anything."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from s3net_jax import cli
from s3net_jax.evaluate import PROTOCOLS, Pair
from s3net_jax.experiments import read_tuning
from s3net_jax.experiments.tuning.run import _is_usable, _read_content
from s3net_jax.io import OutputError
from s3net_jax.run import RecordLog
from s3net_jax.schema import check_score
from tests.experiments.files import ABLATION, TUNING, save_data, write
from tests.fakes import install_fit, resample_less

BIG = "1" + "0" * 400
slow = partial(pytest.param, marks=pytest.mark.slow)
UNNAMED = ABLATION.replace('reference = "both"\n', "")


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install_fit(monkeypatch)
    resample_less(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("S3NET_CACHE", "off")
    save_data("skin")


def ablate(*more: str) -> int:
    return cli.main(["ablate", "experiment.toml", "--out", "out", "--quiet", *more])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (ABLATION.replace("fit.steps = 3", f"fit.steps = {BIG}"), "fit.steps can't be 1000"),
        (ABLATION.replace("fit.steps = 3", f"fit.learning_rate = {BIG}"), "learning_rate can't"),
        (ABLATION.replace("fit.steps = 3", f"fit.steps = {'9' * 5000}"), "not valid TOML"),
        (ABLATION.replace("86.4", BIG), "it must be a finite number"),
        (ABLATION.replace("86.4", "nan"), "it must be a finite number"),
        (f"seed = {BIG}\n{ABLATION}", "seed is 1000"),
        (ABLATION.replace('"terms"', "1979-05-27"), "write text in quotes"),
        ("a = " + "[" * 100_000, "nested too deeply"),
        ("a = " + "{a = " * 5000, "nested too deeply"),
        (ABLATION.replace("[data.skin]", '[data."../skin"]'), "letters, digits"),
        (ABLATION.replace("[data.skin]", f"[data.{'x' * 300}]"), "more than 200 bytes"),
        (UNNAMED.replace('"both"', f'"{"x" * 300}"'), "more than 200 bytes"),
        (ABLATION.replace("skin/images", "y" * 5000), "is not a folder"),
        (ABLATION.replace("skin/images", "a\\u0000b"), "is not a folder"),
    ],
)
def test_odd_files_are_one_sentence(capsys, text: str, words: str) -> None:
    write(text)
    assert ablate() == 2
    error = capsys.readouterr().err
    assert words in error and len(error.splitlines()) == 1
    assert not Path("out").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["../../../victim", *(slow(name) for name in ("/victim", "..", "a\\u0000b", "a\\nb"))]
)
def test_names_of_methods_stay_in_the_folder(name: str) -> None:
    write(UNNAMED.replace('name = "both"', f'name = "{name}"'))
    assert ablate() == 0
    assert len([path for path in Path("out/skin").iterdir() if path.is_dir()]) == 2
    assert not [path for path in Path().rglob("*victim*") if path.parts[:2] != ("out", "skin")]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes in folders")
@pytest.mark.parametrize(
    "make",
    [
        os.mkfifo,
        slow(Path.mkdir),
        slow(lambda path: path.symlink_to("nowhere")),
        slow(lambda path: path.write_bytes(b"\xff")),
        slow(lambda path: path.write_text("[]")),
        slow(lambda path: path.write_text("[" * 100_000)),
        lambda path: path.write_text('{"title": "terms", "shared": {}, "parts": 7}'),
    ],
)
def test_a_folder_with_an_odd_mark_is_refused_unless_replaced(
    capsys, make: Callable[[Path], None]
) -> None:
    write(ABLATION)
    Path("out").mkdir()
    make(Path("out/experiment.json"))
    assert ablate() == 2
    error = capsys.readouterr().err
    assert (
        "out/experiment.json was not written by an experiment" in error
        and len(error.splitlines()) == 1
    )
    assert ablate("--overwrite") == 0
    assert json.loads(Path("out/experiment.json").read_text())["title"] == "terms"
    assert cli.main(["check", "out", "--quiet"]) == 0


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_do_not_lead_out_of_the_folder(capsys) -> None:
    write(ABLATION)
    Path("out").mkdir()
    Path("elsewhere").mkdir()
    Path("out/skin").symlink_to("../elsewhere")
    assert ablate() == 2 and "leads out of out" in capsys.readouterr().err
    assert not list(Path("elsewhere").iterdir())


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes in folders")
def test_an_experiment_that_is_no_file(capsys) -> None:
    for make, words in ((os.mkfifo, "pipe"), (os.mkdir, "directory")):
        make("experiment.toml")
        assert ablate() == 2 and words in capsys.readouterr().err
        os.unlink("experiment.toml") if words == "pipe" else os.rmdir("experiment.toml")


def test_scores_are_checked_and_used_only_if_they_are_of_the_same_content() -> None:
    tuning = replace(read_tuning(Path(write(TUNING))), steps=(1, 3))
    pair = Pair("a", Path("skin/images/a.png"), Path("skin/masks/a.png"))
    digest = _read_content(pair)[1]
    good: Any = {
        "stem": "skin/a x",
        "sha256": digest,
        "dsc": {name: [1.0, 2.0] for name in PROTOCOLS},
    }
    path = Path("scores.jsonl")
    RecordLog(path, check_score).put(good)
    assert _is_usable(RecordLog(path, check_score).get("skin/a x"), digest, tuning)
    assert not _is_usable(good | {"dsc": {name: [1.0] for name in PROTOCOLS}}, digest, tuning)
    assert not _is_usable(good | {"dsc": {"blind": [1.0, 2.0]}}, digest, tuning)
    assert not _is_usable(good, "0" * 64, tuning) and not _is_usable(None, digest, tuning)
    for bad in (7, {}, good | {"dsc": 7}, good | {"dsc": {"blind": ["1"]}}, good | {"stem": 7}):
        path.write_text(json.dumps(bad) + "\n")
        with pytest.raises(OutputError, match="line 1"):
            RecordLog(path, check_score)
