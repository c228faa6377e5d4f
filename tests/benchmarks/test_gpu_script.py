"""``benchmarks/gpu.sh`` where there is no GPU: it says so, and names its pieces."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from benchmarks.suites import SUITES
from benchmarks.suites import run as run_suite
from s3net_kernels.tune import __main__ as tune

SCRIPT = Path(__file__).parents[2] / "benchmarks/gpu.sh"


def run(*pieces: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHON": sys.executable, **variables}
    return subprocess.run(
        ["bash", str(SCRIPT), *pieces], env=environment, capture_output=True, text=True
    )


def read_budget(command: list[str]) -> int:
    return int(command[command.index("--budget") + 1])


def test_every_piece_is_a_command_of_the_benchmarks():
    commands = set(
        re.findall(r"^[^#\n]*\b(?:run|new_programs) ([a-z]+) --", SCRIPT.read_text(), re.MULTILINE)
    )
    assert commands == {"numerics", "ops", "step", "fit", "scaling", "trace"} <= set(SUITES)


@pytest.fixture
def commands(tmp_path):
    """What the script would run: a function of its arguments."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\ncat >/dev/null\n[ "$1" = - ] || echo "$@" >>{tmp_path}/said\n')
    python.chmod(0o755)

    def run_script(*arguments: str) -> list[list[str]]:
        environment = {**os.environ, "PYTHON": str(python), "OUT": ""}
        subprocess.run(["bash", str(SCRIPT), *arguments], env=environment, check=True)
        said = (tmp_path / "said").read_text().splitlines()
        (tmp_path / "said").unlink()
        names = (line.replace("-m s3net_kernels.tune", "tune") for line in said)
        return [line.removeprefix("-m benchmarks ").split() for line in names]

    return run_script


def test_the_suites_know_the_options(commands, capsys):
    options: dict[str, set[str]] = {}
    for suite, *arguments in commands() + commands("brief"):
        options.setdefault(suite, set()).update(a for a in arguments if a.startswith("--"))
    for suite, wanted in options.items():
        with pytest.raises(SystemExit):
            main = tune.main if suite == "tune" else functools.partial(run_suite, suite)
            main(["--help"])
        assert wanted <= set(re.findall(r"--[a-z-]+", capsys.readouterr().out)), suite


def test_pieces_by_name(commands):
    assert [c[0] for c in commands("tune", "fit")] == ["tune", "fit"]
    assert [c[0] for c in commands("brief")] == ["numerics", "tune", "step", "fit"]
    (brief,), (whole,) = commands("brief", "tune"), commands("tune")
    assert read_budget(brief) < read_budget(whole)


@pytest.mark.parametrize("limit", ["100", "570"])
def test_tuning_ends_before_its_limit(commands, monkeypatch, limit):
    monkeypatch.setenv("LIMIT", limit)
    for arguments in (["tune"], ["brief", "tune"]):
        (tune,) = commands(*arguments)
        assert 0 < read_budget(tune) < int(limit)


def test_a_step_meets_no_programs_of_an_earlier_piece(tmp_path):
    python = tmp_path / "python"
    said = tmp_path / "said"
    python.write_text(
        f'#!/bin/sh\ncat >/dev/null\n[ "$1" = - ] || echo $JAX_COMPILATION_CACHE_DIR >>{said}\n'
    )
    python.chmod(0o755)
    run("step", "fit", "step", PYTHON=str(python), JAX_COMPILATION_CACHE_DIR="old", OUT="")
    first, between, second = said.read_text().split()
    assert between == "old" and len({first, between, second}) == 3


@pytest.mark.parametrize(
    ("pieces", "variables", "said"),
    [
        (["check", "chekc"], {}, "There is no piece 'chekc': choose from check, tune"),
        (["brief", "nosuch"], {}, "There is no piece 'nosuch'"),
        (
            ["check"],
            {"LIMIT": "ten"},
            "LIMIT must be a whole number of seconds, at least 100, got 'ten'",
        ),
        (["check"], {"LIMIT": "99"}, "at least 100"),
        (["check"], {"S3NET_BENCHMARKS_RESULTS": "/dev/null/results"}, "Can't write results"),
        (["check"], {"OUT": "/dev/null/results"}, "Can't write results"),
    ],
)
def test_what_is_refused_before_anything_runs(pieces, variables, said):
    done = run(*pieces, **{"PYTHON": "/bin/false", **variables})
    assert done.returncode == 2 and said in done.stderr and len(done.stderr.splitlines()) == 1


def test_help():
    done = run("--help", PYTHON="/bin/false")
    assert done.returncode == 0 and "bash benchmarks/gpu.sh brief" in done.stdout


@pytest.mark.parametrize("same", [True, False], ids=["same folder", "another"])
def test_what_a_piece_wrote_comes_along(tmp_path, same):
    out, results = tmp_path / "out", tmp_path / ("out" if same else "results")
    results.mkdir()
    (results / "old.json").write_text("old")
    os.utime(results / "old.json", (0, 0))
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\ncat >/dev/null\n[ "$1" = - ] || echo new >{results}/new.json\n')
    python.chmod(0o755)
    places = {"OUT": str(out), "S3NET_BENCHMARKS_RESULTS": str(results), "PYTHON": str(python)}
    subprocess.run(["bash", str(SCRIPT), "step"], env={**os.environ, **places}, check=True)
    assert (out / "new.json").read_text() == "new\n" and (out / "old.json").is_file() is same


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="there is a GPU here")
def test_without_a_gpu():
    done = run("check")
    assert done.returncode == 1
    assert "no GPU" in done.stderr and "Traceback" not in done.stderr
