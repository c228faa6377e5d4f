"""Mutated records, experiment files and targets given to the command; prints what happened as JSON.

``python -m tests.run.fuzz_records FOLDER COUNT SEED``. The fits are fakes: what is tried is what
reads files that somebody may have changed.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import pytest

from s3net_jax import cli
from tests.experiments.files import ABLATION, COMPARISON, TUNING
from tests.fakes import install_fit
from tests.io.fuzz_formats import PATIENCE, forget_peak, mutated, peak_mib
from tests.pictures import save_lesion

SMALL = ["--preset", "fast", "--size", "32", "--set", "fit.steps=3", "--quiet"]
RECORDS = ("results.jsonl", "run.json", ".writing-0.json", ".running-0")
EXPERIMENTS = {"ablate": ABLATION, "compare": COMPARISON, "tune": TUNING}
_VALUES = (
    "null", "true", "[]", "{}", "7", "-1", "1e999", '""', '"../../victim"', '"/etc/victim"',
    '"a\\u0000b"',
    '"' + "x" * 5000 + '"', "[" * 5000, '{"a":' * 5000, "9" * 5000,
)  # fmt: skip


_TARGETS = ("auto", "dark", "point:3,4", "point:", "pointy", "point:1e9,2", "point:9999,9999", "\0")


def mutated_text(text: str, chance: random.Random) -> bytes:
    """Bytes mutated; or a value, a key or a whole text that is something else."""
    kind = chance.randrange(4)
    if kind == 0:
        return mutated(text.encode(), chance)
    if kind == 1:
        return chance.choice(_VALUES).encode()
    places = [n for n, letter in enumerate(text) if letter in ":=,"]
    if not places:
        return mutated(text.encode(), chance)
    start = chance.choice(places) + 1
    end = start
    while end < len(text) and text[end] not in ",}]\n":
        end += 1
    if kind == 2:
        return (text[:start] + chance.choice(_VALUES) + text[end:]).encode()
    return (text[:start] + text[end:]).encode()


def attempt(words: list[str]) -> dict[str, Any]:
    """What the command makes of ``words``."""
    forget_peak()
    start = time.monotonic()
    found: dict[str, Any] = {"words": words[:1]}
    out, err = io.StringIO(), io.StringIO()
    signal.alarm(PATIENCE)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = cli.main(words)
        text = err.getvalue()
        found |= {"result": "done" if code == 0 else "refused", "code": code, "text": text[-500:]}
        if code not in (0, 1, 2) or "Traceback" in text or (code and not text.strip()):
            found["result"] = "badly said"
    except BaseException:
        found |= {"result": "failed", "text": traceback.format_exc()[-3000:]}
    finally:
        signal.alarm(0)
    return found | {"seconds": time.monotonic() - start, "peak_mib": peak_mib()}


def record_mutant(folder: Path, chance: random.Random) -> dict[str, Any]:
    """A finished folder with one record changed, given to the command once more."""
    good, work = folder / "good", folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(good, work)
    path = work / "out" / chance.choice(RECORDS)
    path.write_bytes(mutated_text(path.read_text(), chance))
    more = ["--target", chance.choice(_TARGETS)] if chance.random() < 0.1 else []
    words = ["segment", str(work / "in"), "--out", str(work / "out"), *SMALL, *more]
    if chance.random() < 0.3:
        words.append("--overwrite")
    found = attempt(words) | {"name": path.name}
    stray = [p.name for p in work.iterdir() if p.name not in ("in", "out")]
    if stray or (work.parent / "victim").exists():
        found |= {"result": "failed", "text": f"written outside: {stray}"}
    return found


def experiment_mutant(folder: Path, chance: random.Random) -> dict[str, Any]:
    """An experiment file changed; its data are not there, so that nothing is fitted."""
    work = folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    command = chance.choice([*EXPERIMENTS])
    path = work / "x.toml"
    path.write_bytes(mutated_text(EXPERIMENTS[command], chance))
    found = attempt([command, str(path), "--out", str(work / "out"), "--quiet"])
    return found | {"name": command}


def main(folder: Path, count: int, seed: int) -> None:
    good, work, bad = folder / "good", folder / "work", folder / "bad"
    bad.mkdir(parents=True)
    os.chdir(folder)
    patch = pytest.MonkeyPatch()
    install_fit(patch)
    for n in range(2):
        save_lesion(good / "in" / f"{n}.png", seed=n)
    first = attempt(["segment", str(good / "in"), "--out", str(good / "out"), *SMALL])
    assert first["result"] == "done", first
    (good / "out/.writing-0.json").write_text('["0.mask.png"]')
    (good / "out/.running-0").write_text("[]")
    chance = random.Random(seed)
    results = []
    for number in range(count):
        mutant = experiment_mutant if number % 2 else record_mutant
        found = mutant(folder, chance)
        results.append(found)
        if found["result"] in ("failed", "badly said"):
            shutil.copytree(work, bad / str(number), symlinks=True)
    print(json.dumps({"results": results}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
