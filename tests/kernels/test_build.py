"""How the CPU kernels are built: against the headers of the oldest supported jaxlib, copied from
nowhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CSRC = ROOT / "kernels" / "csrc"


def requirements(name: str, lines: list[str]) -> list[str]:
    return [line for line in lines if re.match(rf"{name}\b", line)]


def test_compiled_against_the_oldest_supported_jaxlib():
    """XLA refuses a library that was compiled for a newer interface than its own."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (jax,) = requirements("jax", project["project"]["dependencies"])
    oldest = re.fullmatch(r"jax>=([\d.]+)", jax)
    pinned, newer = requirements("jaxlib", project["build-system"]["requires"])
    exact = re.match(r"jaxlib==([\d.]+); python_version < '([\d.]+)'$", pinned)
    assert oldest and exact
    assert exact[1] == oldest[1] or exact[1] == f"{oldest[1]}.0"
    # Where Python is too new for that release, any that can be installed will do.
    assert newer == f"jaxlib>={oldest[1]}; python_version >= '{exact[2]}'"


def test_no_headers_of_others():
    assert not [path for path in CSRC.rglob("*") if path.name in ("ffi.h", "c_api.h", "LICENSE")]


@pytest.mark.skipif(shutil.which("cmake") is None, reason="needs cmake")
def test_missing_headers_are_named(tmp_path):
    command = ["cmake", "-S", ROOT, "-B", tmp_path / "build", f"-DS3N_XLA_INCLUDE={tmp_path}"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode != 0
    message = " ".join(run.stderr.split())
    assert "xla/ffi/api/ffi.h was not found in S3N_XLA_INCLUDE" in message
    assert "Install jaxlib" in message
