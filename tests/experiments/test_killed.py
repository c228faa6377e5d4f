"""Experiments that are killed resume correctly."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ending import ending_command
from tests.experiments.files import ABLATION, TUNING, save_data, write
from tests.processes import HANG
from tests.run.commands import environment


@pytest.mark.slow
@pytest.mark.parametrize(("command", "text"), [("ablate", ABLATION), ("tune", TUNING)])
def test_a_killed_experiment_ends_as_if_nothing_had_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    save_data("skin", "abc")
    write(text)
    variables = environment(JAX_COMPILATION_CACHE_DIR=str(tmp_path / "cache"))

    def run(out: str, killed: bool = False) -> subprocess.CompletedProcess[str]:
        arguments = [command, "experiment.toml", "--out", out, "--batch", "2"]
        words = [sys.executable, "-m", "s3net_jax", *arguments]
        if killed:
            words = ending_command(signal.SIGKILL, *arguments, lines=2)
        return subprocess.run(words, env=variables, capture_output=True, text=True, timeout=HANG)

    def lines() -> int:
        logs = [*Path("killed").rglob("results.jsonl"), *Path("killed").glob("scores.jsonl")]
        return sum(log.read_bytes().count(b"\n") for log in logs)

    assert run("killed", killed=True).returncode == -signal.SIGKILL and lines() >= 2
    for out in ("killed", "whole"):
        found = run(out)
        assert found.returncode == 0, found.stderr
    for name in ("table.md", "table.csv", "summary.json"):
        killed, whole = (_drop_times(Path(out, name)) for out in ("killed", "whole"))
        assert killed == whole, name
    assert not list(Path("killed").rglob(".*.tmp")), os.listdir("killed")


def _drop_times(path: Path) -> object:
    """What a file says, apart from how long it took."""
    if path.suffix == ".json":
        return json.loads(path.read_text(), object_hook=_strip_times)
    lines = path.read_text().splitlines()
    rows = [*csv.reader(lines)] if path.suffix == ".csv" else [line.split("|") for line in lines]
    heads = next((row for row in rows if any("seconds" in cell for cell in row)), [])
    at = next((n for n, cell in enumerate(heads) if "seconds" in cell), None)
    return [[cell for n, cell in enumerate(row) if n != at] for row in rows]


def _strip_times(found: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in found.items() if name != "seconds"}
