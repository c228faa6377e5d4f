"""Test that runs killed at any moment and resumed end like undisturbed runs.

``S3NET_TEST_KILLS=50 pytest tests/run/output/test_kills.py`` kills 50 runs.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

from s3net_jax.run.output.history import read_history
from tests.ending import ending_command
from tests.processes import HANG
from tests.report.reading import read_page
from tests.run.commands import TINY, environment, save_pictures, start

KILLS = int(os.environ.get("S3NET_TEST_KILLS", "1"))
IMAGES = 60 if KILLS >= 20 else 12
EVENTS = 9  # an image is read, and has four results: each is opened and renamed


def finish(folder: Path, *arguments: str, cache: Path) -> dict[str, bytes]:
    """Run to the end and return the result files."""
    process = start(folder, *arguments, JAX_COMPILATION_CACHE_DIR=str(cache))
    out, err = process.communicate(timeout=HANG)
    assert process.returncode == 0, out + err
    assert "Traceback" not in err
    return {
        path.name: path.read_bytes()
        for path in (folder / "out").iterdir()
        if path.name.endswith((".png", ".history.json", "measures.csv"))
    }


def start_ending(
    folder: Path, number: signal.Signals, *arguments: str, cache: str = "", **moment: int
) -> subprocess.Popen[str]:
    """Start a run that sends itself a signal; `moment` as in `ending_command`."""
    words = ["segment", "in", "--out", "out", *TINY, *arguments]
    return subprocess.Popen(
        ending_command(number, *words, **moment),
        cwd=folder,
        env=environment(JAX_COMPILATION_CACHE_DIR=cache),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def count_finished(folder: Path) -> int:
    log = folder / "out/results.jsonl"
    return len(log.read_bytes().splitlines()) if log.exists() else 0


@pytest.mark.slow
@pytest.mark.parametrize("batch", ["1", "3"])
def test_kills_at_random_moments(tmp_path: Path, batch: str) -> None:
    moments = random.Random(int(batch))
    cache = tmp_path / "cache"
    for name in ("whole", "killed"):
        save_pictures(tmp_path / name / "in", IMAGES)
    expected = finish(tmp_path / "whole", "--batch", batch, cache=cache)
    folder = tmp_path / "killed"
    progress = 0
    for n in range(KILLS):
        # Some die while inputs are read, most while results are written. The process counts for
        # itself: one that is watched may have ended before it is killed.
        most = EVENTS * min(IMAGES - count_finished(folder), max(1, 2 * IMAGES // (KILLS + 1)))
        moment = moments.randrange(1, most + 1) if most else 1
        process = start_ending(
            folder, signal.SIGKILL, "--batch", batch, cache=str(cache), operations=moment
        )
        process.communicate(timeout=HANG)
        progress += process.returncode == -signal.SIGKILL
        check_whole(folder, f"after kill {n + 1}")
    assert progress == KILLS
    found = finish(folder, "--batch", batch, cache=cache)
    assert found.keys() == expected.keys() and len(found) == 4 * IMAGES + 1
    for name, content in expected.items():
        assert found[name] == content, name
    left = {p.name for p in (folder / "out").iterdir()} - set(found)
    assert left == {"results.jsonl", "run.json", "report.html"}, "nothing half-written stays"
    page = read_page((folder / "out/report.html").read_text("utf-8"))
    assert sum(tag.get("class") == "card" for tag in page.all("figure")) == IMAGES


def check_whole(folder: Path, when: str) -> None:
    """Every file with its final name is complete."""
    for path in (folder / "out").glob("[!.]*.png") if (folder / "out").exists() else ():
        with PilImage.open(path) as picture:
            assert np.asarray(picture).size, f"{path.name} {when}"
    for path in (folder / "out").glob("[!.]*.history.json"):
        assert read_history(path), f"{path.name} {when}"
    if (folder / "out/report.html").exists():
        read_page((folder / "out/report.html").read_text("utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_batched_run_in_order(tmp_path: Path, number: signal.Signals) -> None:
    if signal.getsignal(number) == signal.SIG_IGN:
        pytest.skip(f"started by a shell that has its background jobs ignore {number.name}")
    save_pictures(tmp_path / "in", 30)
    process = start_ending(tmp_path, number, "--batch", "3", "--set", "fit.steps=300", lines=3)
    _, err = process.communicate(timeout=HANG)
    assert process.returncode == (130 if number == signal.SIGINT else 143)
    assert err.splitlines()[-1] == "s3net: Interrupted; finished results are kept."
    assert all(line.lstrip().startswith("note: ") for line in err.splitlines()[:-1])
    assert json.loads((tmp_path / "out/run.json").read_text())["status"] == "interrupted"
    lines = [json.loads(line) for line in (tmp_path / "out/results.jsonl").read_text().splitlines()]
    for line in lines:
        assert all((tmp_path / "out" / name).exists() for name in line["outputs"].values())


@pytest.mark.slow
def test_a_full_disk_loses_only_what_did_not_fit(tmp_path: Path) -> None:
    """Run on a file system with room for a few pictures; later there is room again."""
    save_pictures(tmp_path / "in", 8)
    (tmp_path / "out").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(tmp_path / "out")]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no rights to mount a small file system")
    try:
        process = start(tmp_path, "--no-report")  # every byte is for results
        _, err = process.communicate(timeout=HANG)
        assert process.returncode == 2 and "no space left" in err and "Traceback" not in err
        check_whole(tmp_path, "on a full disk")
        done = count_finished(tmp_path)
        grow = ["mount", "-o", "remount,size=20m", str(tmp_path / "out")]
        subprocess.run(grow, check=True, capture_output=True)
        process = start(tmp_path, "--no-report")  # every byte is for results
        _, err = process.communicate(timeout=HANG)
        assert process.returncode == 0, err
        assert count_finished(tmp_path) >= 8 > done >= 1
    finally:
        subprocess.run(["umount", str(tmp_path / "out")], capture_output=True)
