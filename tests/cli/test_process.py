"""The process of the command: signals, pipes, imports, the cache of compiled programs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from s3net_jax import cli, jax_setup
from s3net_jax.parallel import WORKER
from tests.cli.calling import SMALL, s3net
from tests.fakes import install_fit
from tests.pictures import save_lesion
from tests.processes import HANG

pytestmark = pytest.mark.usefixtures("place")


def test_termination_ends_with_143(capsys, tmp_path: Path, monkeypatch) -> None:
    over = threading.Event()

    def terminate(*_, **__):
        os.kill(os.getpid(), signal.SIGTERM)
        over.wait(HANG)

    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)  # the fit continues
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
    assert code == 130 and err == "s3net: Interrupted; finished results are kept.\n"
    _, _, err = s3net(capsys, "segment", "a.png", "--overwrite", *SMALL)
    assert err.endswith(" To resume, repeat the command without --overwrite.\n")


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


@pytest.mark.slow
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
