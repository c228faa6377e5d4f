"""``benchmarks/gpu.sh`` where there is no GPU: it says so, and names its pieces."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks/gpu.sh"


def run(*pieces: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHON": sys.executable}
    return subprocess.run(
        ["bash", str(SCRIPT), *pieces], env=environment, capture_output=True, text=True
    )


def test_every_piece_is_a_command_of_the_benchmarks():
    lines = SCRIPT.read_text().splitlines()
    commands = {line.split(") run ")[1].split()[0] for line in lines if ") run " in line}
    assert commands == {"numerics", "tune", "ops", "step", "fit", "scaling"}
    assert all((SCRIPT.parent / f"{name}.py").is_file() for name in commands)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="there is a GPU here")
def test_without_a_gpu():
    done = run("check")
    assert done.returncode == 1
    assert "no GPU" in done.stderr and "Traceback" not in done.stderr
