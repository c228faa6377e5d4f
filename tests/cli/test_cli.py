"""The command as a user meets it: what it prints, what it writes, how it ends."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

from s3net_jax import cli, jax_setup
from s3net_jax.cli.arguments import parse
from s3net_jax.cli.session import WORKER
from s3net_jax.errors import UsageError
from tests.fakes import fit_brightness, install_fit
from tests.pictures import png_header, save_lesion
from tests.processes import HANG

SMALL = ["--preset", "fast", "--size", "32", "--set", "fit.steps=3", "--out", "out"]


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A fast fit, an empty working folder, and no traces in the environment."""
    install_fit(monkeypatch)
    monkeypatch.chdir(tmp_path)
    for name in ("TF_CPP_MIN_LOG_LEVEL", "JAX_COMPILATION_CACHE_DIR"):
        monkeypatch.setenv(name, os.environ.get(name, ""))


def s3net(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.main(list(arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_segment(capsys, tmp_path: Path) -> None:
    save_lesion(tmp_path / "a.png")
    code, out, err = s3net(capsys, "segment", "a.png", *SMALL)
    assert code == 0 and not err
    assert out.splitlines()[0] == "preset fast: 32×32 pixels, 24 channels, 3 steps, seed 0"
    assert out.splitlines()[1].startswith("[1/1] a.png: 3 clusters, target ")
    assert "64×48 pixels, 3 steps" in out and "1 done in" in out.splitlines()[-1]
    assert (tmp_path / "out/a.overlay.png").exists()
    code, out, _ = s3net(capsys, "segment", "a.png", *SMALL)
    assert code == 0 and "done before, kept" in out and "0 done, 1 kept" in out


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
        (["--print-completion", "fish"], "There is no completion for 'fish'. Did you mean"),
        (["help", "segmnt"], "There is no command 'segmnt'. Did you mean segment"),
        (["help", "--versoin"], "Did you mean --version"),
        (["help", "segment", "demo"], "help takes no further argument 'demo'"),
        (["segment", "--version"], "--version belongs before any command"),
        (["check", "--quite=yes"], "There is no option --quite. Did you mean --quiet"),
        (["segment"], "Name at least one image"),
        (["segment", "", "--out", "o"], "One of the inputs is an empty word"),
        (["segment", "a.png"], "Say where the results go: --out DIR"),
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
        (["demo", "--out", ""], "Say where the results go"),
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


def test_demo(capsys, tmp_path: Path) -> None:
    code, out, err = s3net(capsys, "demo", "--set", "fit.steps=2", "--size", "32")
    assert code == 0 and not err, err
    assert len(list(Path("out").glob("*.overlay.png"))) == 1
    assert "scikit-image" in out.splitlines()[0] and "Look at out/" in out.splitlines()[-1]
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
        chosen.append(args.preset)
        raise UsageError("enough")

    module = importlib.import_module(f"s3net_jax.cli.{words[0]}")
    monkeypatch.setattr(module, "read_config", stop)
    assert s3net(capsys, *words, "--out", "o")[0] == 2
    assert chosen == ["best"]
    text = " ".join(s3net(capsys, words[0], "--help")[1].split())
    assert "best, paper, paper-lung, released, fast, " in text and "(default: best)" in text


def test_info(capsys) -> None:
    code, out, err = s3net(capsys, "info")
    assert code == 0 and not err
    for words in ("jax", "reference  all", "paper-lung", "backend"):
        assert words in out
    content = json.loads(s3net(capsys, "info", "--json")[1])
    names = ["versions", "devices", "cpu_kernels", "implementations", "presets", "hint"]
    assert list(content) == names and "deform_conv2d" in content["implementations"]
    assert "fit.learning_rate        0.2\n" in s3net(capsys, "info", "--preset", "released")[1]


def test_info_says_what_is_broken(capsys, monkeypatch) -> None:
    def fail() -> None:
        raise AttributeError("undefined symbol: f")

    monkeypatch.setattr("s3net_kernels.implementations", fail)
    code, out, _ = s3net(capsys, "info")
    assert code == 0 and "it cannot be loaded (AttributeError: undefined symbol: f)" in out


def test_info_has_one_line_for_each_implementation(capsys, monkeypatch) -> None:
    operators = {
        "linear": {"xla": None, "native": "no compiler", "pallas": "no GPU"},
        "conv2d": {"xla": None, "native": None, "pallas": "no GPU"},
        "warp": {"xla": None, "native": "no image"},
    }
    monkeypatch.setattr("s3net_kernels.implementations", lambda: operators)
    lines = s3net(capsys, "info")[1].splitlines()
    start = lines.index("Implementations of the operators")
    assert lines[start + 1 : start + 5] == [
        "  xla     all 3",
        "  native  1 of 3: not linear (no compiler); not warp (no image)",
        "  pallas  none: no GPU",
        "",
    ]


@pytest.mark.parametrize(
    ("platform", "modules", "variables", "words"),
    [
        ("cpu", (), {}, "no CUDA extra is installed: pip install 's3net-jax[cuda13]'"),
        ("cpu", ("jax_cuda12_plugin",), {}, "although the extra cuda12 is installed"),
        ("cpu", (), {"JAX_PLATFORMS": "cpu"}, "because JAX_PLATFORMS is cpu: unset it"),
        ("gpu", (), {}, None),
    ],
)
def test_info_names_what_a_gpu_lacks(
    capsys, monkeypatch, platform: str, modules: tuple[str, ...], variables: dict, words: str | None
) -> None:
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(jax_setup.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(jax_setup, "get_platform", lambda: platform)
    find = jax_setup.importlib.util.find_spec
    monkeypatch.setattr(
        jax_setup.importlib.util,
        "find_spec",
        lambda name: name in modules or None if name.startswith("jax_cuda") else find(name),
    )
    out = s3net(capsys, "info")[1]
    found = json.loads(s3net(capsys, "info", "--json")[1])["hint"]
    if words is None:
        assert found is None and "hint" not in out
    else:
        assert words in found and f"  hint: {found}\n" in out


def test_without_an_nvidia_gpu_there_is_no_hint(monkeypatch) -> None:
    monkeypatch.setattr(jax_setup.shutil, "which", lambda name: None)
    monkeypatch.setattr(os.path, "exists", lambda path: False)
    assert jax_setup.find_gpu_hint() is None


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


def test_completion_without_its_extra_is_a_sentence(capsys, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    code, out, err = s3net(capsys, "--print-completion", "bash")
    assert (code, out) == (2, "")
    assert err == "s3net: --print-completion needs shtab: pip install 's3net-jax[completion]'.\n"


def test_completion_of_bash(capsys, tmp_path: Path) -> None:
    pytest.importorskip("shtab")
    code, script, err = s3net(capsys, "--print-completion", "bash")
    assert code == 0 and not err
    Path("complete.sh").write_text(script)
    Path("folder").mkdir()
    Path("file").touch()
    for line, expected in (
        ("s3net seg", ["segment"]),
        ("s3net segment --overw", ["--overwrite"]),
        ("s3net segment --preset paper", ["paper", "paper-lung"]),
        ("s3net segment -o f", ["folder"]),
        ("s3net segment f", ["file", "folder"]),
    ):
        words = f"COMP_WORDS=({line}); COMP_CWORD={line.count(' ')}"
        code = f'. ./complete.sh; {words}; _shtab_s3net; printf "%s\\n" "${{COMPREPLY[@]}}"'
        found = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
        assert sorted(found.stdout.split()) == expected, line


def test_help_and_version(capsys) -> None:
    for arguments in ([], ["--help"], ["segment", "--help"], ["demo", "--help"]):
        code, out, err = s3net(capsys, *arguments)
        assert code == 0 and out.startswith("usage: s3net") and not err
    assert s3net(capsys, "--version")[1].startswith("s3net-jax ")


def test_termination_ends_with_143(capsys, tmp_path: Path, monkeypatch) -> None:
    over = threading.Event()

    def terminate(*_, **__):
        os.kill(os.getpid(), signal.SIGTERM)
        over.wait(HANG)

    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)  # the fit goes on
    save_lesion(tmp_path / "a.png")
    install_fit(monkeypatch, terminate)
    s3net(capsys, "segment", "a.png", *SMALL)
    over.set()
    for thread in threading.enumerate():
        if thread.name == WORKER:
            thread.join(HANG)
    assert ended == [143]
    assert json.loads(Path("out/run.json").read_text())["status"] == "interrupted"


def test_interruption_ends_with_130(capsys, tmp_path: Path, monkeypatch) -> None:
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    save_lesion(tmp_path / "a.png")
    install_fit(monkeypatch, interrupt)
    code, _, err = s3net(capsys, "segment", "a.png", *SMALL)
    assert code == 130 and err == "s3net: Interrupted; what was finished is kept.\n"
    _, _, err = s3net(capsys, "segment", "a.png", "--overwrite", *SMALL)
    assert err.endswith(" To resume, repeat the command without --overwrite.\n")


def test_the_cache_of_compiled_programs(capsys, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "somewhere"))
    for arguments, switch, expected in (
        ([], "on", str(tmp_path / "somewhere/s3net-jax")),
        (["--no-cache"], "on", None),
        ([], "off", None),
        ([], "", str(tmp_path / "somewhere/s3net-jax")),
        ([], str(tmp_path / "own/place"), str(tmp_path / "own/place")),
        (["--no-cache"], str(tmp_path / "own/place"), None),
    ):
        monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
        monkeypatch.setenv("S3NET_CACHE", switch)
        s3net(capsys, "segment", *arguments)  # no input: nothing is imported, nothing computed
        s3net(capsys, "segment", "none.png", *arguments, "--out", "/dev/null/x")
        assert os.environ.get("JAX_COMPILATION_CACHE_DIR") == expected
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)


def test_the_folder_that_s3net_cache_names(capsys, tmp_path: Path, monkeypatch) -> None:
    save_lesion(tmp_path / "a.png")
    Path("file").touch()
    for folder, words in (
        ("of", "S3NET_CACHE must be on, off or an absolute path, got 'of'."),
        (
            str(tmp_path / "file"),
            f"S3NET_CACHE={tmp_path / 'file'} can't be written (file exists): name another folder, "
            "or set it to off.",
        ),
    ):
        monkeypatch.setenv("S3NET_CACHE", folder)
        assert s3net(capsys, "segment", "a.png", *SMALL) == (2, "", f"s3net: {words}\n")
        assert not Path("out").exists()
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/elsewhere")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("S3NET_CACHE", "~/cache")
    assert jax_setup.choose_cache() is None
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == str(tmp_path / "cache"), "it comes first"
    monkeypatch.setenv("S3NET_CACHE", "gs://bucket/programs")
    assert jax_setup.choose_cache() is None
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == "gs://bucket/programs"


def process(*arguments: str, python: tuple[str, ...] = (), **options) -> subprocess.Popen:
    root = Path(cli.__file__).parents[2]
    path = os.pathsep.join([str(root), str(root / "kernels"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "S3NET_CACHE": "off"}
    command = [sys.executable, *python, "-m", "s3net_jax", *arguments]
    return subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_a_closed_pipe_is_no_drama() -> None:
    running = process("info", "--preset", "paper")
    assert running.stdout is not None and running.stderr is not None
    running.stdout.close()
    assert running.stderr.read() == ""
    assert running.wait() in (0, 141)
    running.stderr.close()


def test_help_loads_nothing_large() -> None:
    out, err = process("--help", python=("-X", "importtime")).communicate()
    assert "segment" in out
    lines = err.splitlines()
    assert all(line.startswith("import time:") for line in lines)
    loaded = {line.rpartition("|")[2].strip() for line in lines}
    assert "s3net_jax.cli" in loaded and not loaded & {"jax", "numpy", "rich"}
