"""Run the command in separate processes, on small pictures with a tiny network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.pictures import save_lesion

__all__ = ["ROOT", "TINY", "environment", "save_pictures", "start"]

ROOT = Path(__file__).parents[2]
TINY = ["--preset", "fast", "--size", "32", "--set", "model.channels=4", "--set", "fit.steps=4"]


def environment(**more: str) -> dict[str, str]:
    """Build the environment of a child process.

    The child finds the packages of this process, and the programs compiled by other tests.
    """
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    own = {"PYTHONPATH": path, "RAY_USAGE_STATS_ENABLED": "0"}
    if "S3NET_TEST_CACHE" in os.environ:
        own["XDG_CACHE_HOME"] = os.environ["S3NET_TEST_CACHE"]
    return {**os.environ, **own, **more}


def save_pictures(folder: Path, count: int) -> None:
    for n in range(count):
        save_lesion(folder / f"{n:02d}.png", seed=n, shape=(40, 48))


def start(folder: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Run ``s3net segment in --out out`` with ``arguments`` in ``folder``."""
    command = [sys.executable, "-m", "s3net_jax", "segment", "in", "--out", "out", *TINY]
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(
        [*command, *arguments], cwd=folder, env=environment(**variables), **options
    )
