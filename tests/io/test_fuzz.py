"""500 mutated files over all formats: a sentence or a picture, never anything else.

Many more: ``python -m tests.io.fuzz_formats FOLDER COUNT SEED`` (docs/safety.md).
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.io.bombs import CAP
from tests.processes import HANG
from tests.run.commands import ROOT, environment


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.slow
def test_mutated_files(tmp_path: Path, seed: int) -> None:
    for package in ("nibabel", "pydicom", "openjpeg", "jpeg_ls", "imagecodecs"):
        pytest.importorskip(package)
    command = [sys.executable, "-m", "tests.io.fuzz_formats", str(tmp_path / "f"), "250", str(seed)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=HANG
    )
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout.splitlines()[-1])
    bad = [r for r in report["results"] if r["result"] not in ("opened", "refused")]
    assert not bad, bad[:3]
    counts = Counter(r["result"] for r in report["results"])
    assert counts["refused"] > 50 and counts["opened"] > 20, "the mutations reach the readers"
    assert max(r["seconds"] for r in report["results"]) < 15
    assert max(r["peak_mib"] for r in report["results"]) < CAP
