"""Mutated records and experiment files: a sentence or a run, never anything else.

Many more: ``python -m tests.run.fuzz_records FOLDER COUNT SEED`` (docs/safety.md).
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.run.commands import ROOT, environment


def test_mutated_records(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.run.fuzz_records", str(tmp_path / "f"), "40", "5"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    results = json.loads(done.stdout.splitlines()[-1])["results"]
    bad = [r for r in results if r["result"] not in ("done", "refused")]
    assert not bad, bad[:3]
    counts = Counter(r["result"] for r in results)
    assert counts["refused"] > 15 and counts["done"] > 3, "the mutations reach what reads them"
