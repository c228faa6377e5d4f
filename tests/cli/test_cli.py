"""The command as a user meets it: what it prints and what it writes."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

from s3net_jax import cli
from s3net_jax.cli.arguments import parse
from s3net_jax.errors import UsageError
from tests.cli.calling import SMALL, s3net
from tests.fakes import fit_brightness, install_fit
from tests.pictures import png_header, save_lesion

pytestmark = pytest.mark.usefixtures("place")


def test_segment(capsys, tmp_path: Path) -> None:
    save_lesion(tmp_path / "a.png")
    code, out, err = s3net(capsys, "segment", "a.png", *SMALL)
    assert code == 0 and not err
    assert out.splitlines()[0] == "preset fast: 32×32 pixels, 24 channels, 3 steps, seed 0"
    assert out.splitlines()[1].startswith("[1/1] a.png: 3 clusters, target ")
    assert "64×48 pixels, expected DSC 0.9" in out and ", 3 steps, " in out
    assert "1 done, 0 of 1 to check in" in out.splitlines()[-2]
    assert (tmp_path / "out/a.overlay.png").exists()
    code, out, _ = s3net(capsys, "segment", "a.png", *SMALL)
    assert code == 0 and "kept from an earlier run" in out and "0 done, 1 kept" in out


@pytest.mark.parametrize("own_process", [True, False])
def test_only_a_separate_process_keeps_its_memory(
    own_process: bool, capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = []
    monkeypatch.setattr("s3net_kernels.keep_memory", lambda: kept.append(True))
    save_lesion(tmp_path / "a.png")
    words = ["segment", "a.png", "--quiet", *SMALL]
    monkeypatch.setattr(sys, "argv", ["s3net", *words])
    assert cli.main(None if own_process else words) == 0
    assert kept == [True] * own_process


def test_quiet_says_nothing_and_json_only_json(capsys, tmp_path: Path) -> None:
    save_lesion(tmp_path / "a.png")
    assert s3net(capsys, "segment", "a.png", "--quiet", *SMALL) == (0, "", "")
    code, out, err = s3net(capsys, "segment", "a.png", "b.png", "--json", *SMALL)
    events = [json.loads(line) for line in out.splitlines()]
    assert code == 1 and not err
    assert [event["event"] for event in events] == ["skipped", "failed", "finished"]
    assert events[1]["error"] == "b.png does not exist."
    code, out, err = s3net(capsys, "segment", "b.png", "--quiet", *SMALL)
    assert (code, out, err) == (1, "", "s3net: b.png does not exist.\n")


def test_every_bad_input_gets_one_sentence_and_the_good_one_its_result(
    capsys, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    for name in ("cut.png", "cut.jpg"):
        PilImage.fromarray(noise).save(name)
        Path(name).write_bytes(Path(name).read_bytes()[:1500])
    Path("text.png").write_text("no picture at all\n")
    Path("empty.png").touch()
    PilImage.fromarray(noise[:1, :1]).save("pixel.png")
    PilImage.new("RGB", (40, 40)).save("black.png")
    Path("bomb.png").write_bytes(png_header(20_000, 20_000))
    save_lesion(tmp_path / "good.png")
    bad = ["missing", "text", "cut", "empty", "pixel", "bomb", "black"]
    inputs = [f"{name}.png" for name in bad] + ["cut.jpg", "good.png"]
    code, out, err = s3net(capsys, "segment", *inputs, *SMALL)
    assert code == 1
    messages = [line for line in err.splitlines() if "FAILED: " in line]
    listed = [line for line in err.splitlines() if line.startswith("  failed: ")]
    assert len(messages) == len(listed) == 8 and len(err.splitlines()) == 16
    assert "Traceback" not in err
    expected = [
        "not exist",
        "is text",
        "cut off",
        "empty",
        "1×1",
        "million",
        "only one colour",
        "cut off",
    ]
    for message, words in zip(messages, expected, strict=True):
        assert words in message, message
    assert "1 done, 8 failed" in out and Path("out/good.mask.png").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["segmnt"], "There is no command 'segmnt'. Did you mean segment"),
        (["--quiet", "segment", "a.png"], "--quiet belongs after the command: s3net COMMAND --q"),
        (["--versoin"], "There is no option --versoin. Did you mean --version"),
        (["--print-completion"], "expected one argument"),
        (["--print-completion", "fish"], "There is no completion script for 'fish'. Did you mean"),
        (["help", "segmnt"], "There is no command 'segmnt'. Did you mean segment"),
        (["help", "--versoin"], "Did you mean --version"),
        (["help", "segment", "demo"], "help takes no further argument 'demo'"),
        (["segment", "--version"], "--version belongs before any command"),
        (["check", "--quite=yes"], "There is no option --quite. Did you mean --quiet"),
        (["segment"], "No input is given: name at least one image"),
        (["segment", "", "--out", "o"], "An input is an empty string"),
        (["segment", "a.png"], "No output folder is given: add --out DIR"),
        (["segment", "a.png", "--overwite"], "Did you mean --overwrite"),
        (["segment", "a.png", "--out"], "expected one argument"),
        (["segment", "a.png", "--out", "o", "--preset", "papr"], "Did you mean paper"),
        (["segment", "a.png", "--out", "o", "--set", "fit.stps=3"], "Did you mean fit.steps"),
        (["segment", "a.png", "--out", "o", "--set", "model.dtype=float64"], "JAX_ENABLE_X64=1"),
        (["segment", "a.png", "--out", "o", "--set", "fit.steps"], "section.field=value"),
        (["segment", "a.png", "--out", "o", "--size", "huge"], "input.size can't be 'huge'"),
        (["segment", "a.png", "--out", "o", "--size", "3"], "must be in 16..4096"),
        (["segment", "a.png", "--out", "o", "--seeds", "0"], "--seeds '0' is not a whole number"),
        (["segment", "a.png", "--out", "o", "--batch", "many"], "from 1 to 10000 or auto"),
        (["segment", "a.png", "--out", "o", "--engine", "rai"], "Did you mean ray"),
        (["segment", "a.png", "--out", "o", "--window", "lungs"], "Did you mean lung"),
        (["segment", "a.png", "--out", "o", "--window", "5,1"], "LOW below HIGH"),
        (["segment", "a.png", "--out", "o", "--window", "-5,-9"], "LOW below HIGH"),
        (["segment", "a.png", "--out", "o", "--axis", "z"], "input.axis can't be 'z'"),
        (["segment", "a.png", "--out", "o", "--tile", "8"], "at least 32 pixels"),
        (["segment", "a.png", "--out", "o", "--seed", "-1"], "The seed '-1'"),
        (["segment", "a.png", "--out", "o", "--seed", "x"], "The seed 'x'"),
        (["segment", "a.png", "--out", "o", "--target", "centre"], "Did you mean center"),
        (["segment", "a.png", "--out", "o", "--target", "point:3"], "point:X,Y"),
        (["segment", "a.png", "--out", "a.png"], "a.png is not a writable folder"),
        (["segment", "a.png", "--out", "a.png/deep"], "a.png/deep is not a writable folder"),
        (["demo", "x.png"], "demo takes no further argument 'x.png'"),
        (["demo", "--out", ""], "No output folder is given"),
        (["demo", "--out", "a.png"], "a.png is not a writable folder"),
        (["info", "--preset", "papr"], "Did you mean paper"),
    ],
)
def test_bad_usage_is_one_sentence_and_exit_code_2(
    capsys, tmp_path: Path, arguments: list[str], words: str
) -> None:
    save_lesion(tmp_path / "a.png")
    code, out, err = s3net(capsys, *arguments)
    assert code == 2 and not out
    assert words in err and err.count("\n") == 1 and err.startswith("s3net: ")


def test_nothing_is_written_if_no_input_can_be_used(capsys, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "nibabel", None)
    Path("scans").mkdir()
    Path("scans/a.nii.gz").touch()
    code, out, err = s3net(capsys, "segment", "gone.png", "scans", *SMALL)
    assert (code, out) == (1, "") and err.splitlines()[0] == (
        "s3net: None of the 2 inputs can be used:"
    )
    assert "pip install 's3net-jax[medical]'" in err and not Path("out").exists()
    save_lesion(tmp_path / "good.png")
    code, out, _ = s3net(capsys, "segment", "gone.png", "scans", "good.png", *SMALL)
    assert code == 1 and "1 done, 2 failed" in out


def test_recursive(capsys, tmp_path: Path) -> None:
    save_lesion(tmp_path / "in/a.png")
    save_lesion(tmp_path / "in/ann/a.png")
    assert "1 done" in s3net(capsys, "segment", "in", *SMALL)[1]
    code, out, err = s3net(capsys, "segment", "in", "--recursive", *SMALL)
    assert code == 0 and not err and "1 done, 1 kept" in out
    assert Path("out/a.mask.png").exists() and Path("out/ann-a.mask.png").exists()
    assert s3net(capsys, "check", "out")[0] == 0


def test_a_point_outside_fails_that_image_only_and_before_its_fit(
    capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits = []
    install_fit(monkeypatch, lambda *args, **more: fits.append(1) or fit_brightness(*args, **more))
    save_lesion(tmp_path / "a.png")
    save_lesion(tmp_path / "b.png", shape=(90, 90))
    code, out, err = s3net(capsys, "segment", "a.png", "b.png", "--target", "point:80,10", *SMALL)
    assert code == 1 and "a.png has 64×48 pixels; the point 80,10 is outside it" in err
    assert "1 done, 1 failed" in out and len(fits) == 1


@pytest.mark.slow
def test_demo(capsys, tmp_path: Path) -> None:
    code, out, err = s3net(capsys, "demo", "--set", "fit.steps=2", "--size", "32")
    assert code == 0 and not err, err
    assert len(list(Path("out").glob("*.overlay.png"))) == 1
    assert "scikit-image" in out.splitlines()[0]
    assert out.splitlines()[-1].startswith("out/glands.overlay.png shows")
    assert s3net(capsys, "demo", "--set", "fit.steps=2", "--size", "32")[0] == 0, "twice is fine"
    segment = json.loads(Path("out/run.json").read_text())["config"]["segment"]
    assert (segment["target"], segment["drop_border"]) == ("dark", False)
    words = ("demo", "--preset", "fast", "--set", "segment.target=bright", "--size", "32")
    code, out, err = s3net(capsys, *words, "--set", "fit.steps=2", "--out", "other")
    assert code == 0 and not err and "no effect" not in out
    segment = json.loads(Path("other/run.json").read_text())["config"]["segment"]
    assert segment["target"] == "bright", "the user's own settings win"


@pytest.mark.parametrize("name", ["glands.png", "glands.mask.png", "run.json", "a.png"])
def test_demo_touches_nothing_of_others(capsys, tmp_path: Path, name: str) -> None:
    Path("out").mkdir()
    save_lesion(tmp_path / "out" / name if name.endswith("png") else tmp_path / "out/mine.png")
    if name == "run.json":
        Path("out/run.json").write_text("{}")
    if name == "a.png":
        s3net(capsys, "segment", "out/a.png", *SMALL)
    before = {path: path.read_bytes() for path in Path("out").iterdir()}
    code, out, err = s3net(capsys, "demo", "--set", "fit.steps=2", "--size", "32")
    assert (code, out) == (2, "") and err.endswith(": choose another output folder with --out.\n")
    assert {path: path.read_bytes() for path in Path("out").iterdir()} == before


@pytest.mark.parametrize(
    "words", [["segment", "a.png"], ["demo"], ["evaluate", "--images", ".", "--masks", "masks"]]
)
def test_the_default_preset_is_best(
    capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    chosen: list[str] = []

    def stop(args: argparse.Namespace) -> None:
        chosen.append(read_config(args).preset)
        raise UsageError("enough")

    module = importlib.import_module(f"s3net_jax.cli.{words[0]}")
    read_config = module.read_config
    monkeypatch.setattr(module, "read_config", stop)
    assert s3net(capsys, *words, "--out", "o")[0] == 2
    assert chosen == ["best"]
    text = " ".join(s3net(capsys, words[0], "--help")[1].split())
    assert "best, robust, paper, paper-lung, released, fast, " in text and "(default: best)" in text


def test_help_of_a_command(capsys) -> None:
    for words, same in (
        (["help"], ["--help"]),
        (["help", "segment"], ["segment", "--help"]),
        (["help", "help"], ["help", "--help"]),
    ):
        code, out, err = s3net(capsys, *words)
        assert code == 0 and out.startswith("usage: s3net") and not err
        assert out == s3net(capsys, *same)[1]


@pytest.mark.parametrize("words", [["-o", "short"], ["-oshort"], ["--out", "short"]])
def test_the_output_folder_has_a_short_option(words: list[str]) -> None:
    for command in (["demo"], ["segment", "a.png"], ["evaluate"], ["ablate", "a"], ["tune", "a"]):
        assert parse([*command, *words]).out == "short"


def test_help_and_version(capsys) -> None:
    for arguments in ([], ["--help"], ["segment", "--help"], ["demo", "--help"]):
        code, out, err = s3net(capsys, *arguments)
        assert code == 0 and out.startswith("usage: s3net") and not err
    assert s3net(capsys, "--version")[1].startswith("s3net-jax ")
