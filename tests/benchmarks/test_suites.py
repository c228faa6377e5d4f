"""Every suite runs, small, and writes a result file that the schema describes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.harness import metadata
from benchmarks.harness.candidates import COMPILED, OURS
from benchmarks.harness.worker import Found, Measured
from benchmarks.pages.tables import build_fit_table, build_step_table
from benchmarks.suites import fit, step

jsonschema = pytest.importorskip("jsonschema")

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "benchmarks/schema.json").read_text())
COMMITTED = sorted((ROOT / "benchmarks/results").glob("*.json"))
SMALL = {
    "ops": ["--quick", "--operator", "linear", "bilinear_sample"],
    "step": ["--quick", "--preset", "paper"],
    "fit": ["--quick", "--preset", "released"],
    "methods": ["--quick"],
    "many": ["--quick"],
    "numerics": ["--quick", "--check", "--operator", "linear", "affine_warp"],
    "scaling": ["--quick", "--axis", "images", "--steps", "1"],
    "memory": ["--quick", "--preset", "dfc", "--overwrite"],
}


def validate(content):
    jsonschema.Draft202012Validator(SCHEMA).validate(content)


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", COMMITTED, ids=lambda p: p.stem)
def test_committed_results(path):
    validate(json.loads(path.read_text()))


def test_a_result_without_metadata_is_none():
    content = json.loads(COMMITTED[0].read_text())
    del content["metadata"]["commit"]
    with pytest.raises(jsonschema.ValidationError):
        validate(content)


@pytest.mark.slow
@pytest.mark.parametrize("suite", SMALL)
def test_runs_small(suite, tmp_path):
    # torch.compile takes a minute and belongs to real runs.
    only = ["--only", "s3net-jax", "torch eager"] if suite == "step" else []
    only = ["--only", "s3net-jax, 2 at once", "torch eager"] if suite == "fit" else only
    names = ["s3net-jax", "s3net-jax, step by step", "torch eager", "torch eager, plain"]
    only = ["--only", *names] if suite == "methods" else only
    environment = {
        **os.environ,
        "S3NET_BENCHMARKS_RESULTS": str(tmp_path),
        # Their seconds are not looked at, so they may load what other tests compiled.
        "JAX_COMPILATION_CACHE_DIR": os.path.join(os.environ["S3NET_TEST_CACHE"], "tests"),
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, *filter(None, sys.path)))),
    }
    command = [sys.executable, "-m", "benchmarks", suite, *SMALL[suite], *only, "--json"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("*.json")
    content = json.loads(path.read_text())
    assert content == json.loads(done.stdout)
    assert content["suite"] == ("fit" if suite == "methods" else suite)
    validate(content)
    if suite == "methods":
        assert "left_out" not in content
        assert {name: [*rows] for name, rows in content["presets"].items()} == {
            "sgscn": names,
            "dfc": names,
        }


@pytest.mark.parametrize("suite", [fit, step], ids=lambda s: s.__name__.rpartition(".")[2])
@pytest.mark.parametrize("measured", [True, False], ids=["some", "none"])
def test_candidates_that_fail_leave_a_trace(suite, measured, monkeypatch, tmp_path, capsys):
    timed = {OURS: Measured([1.0, 2.0], 1.0, 1.0)} if measured else {}
    found = Found(timed, {COMPILED: "strides"})
    monkeypatch.setattr(suite, "measure", lambda *_: found)
    monkeypatch.setattr(metadata, "RESULTS", tmp_path)
    arguments = ["--quick", "--preset", "paper"]
    if not measured:
        with pytest.raises(SystemExit, match="failed for paper"):
            suite.main(arguments)
        assert not list(tmp_path.iterdir())
        return
    suite.main(arguments)
    (path,) = tmp_path.glob("*.json")
    content = json.loads(path.read_text())
    validate(content)
    assert content["left_out"] == {"paper": {COMPILED: "strides"}}
    table = {fit: build_fit_table, step: build_step_table}[suite](content)
    assert "Excluded from `paper`: torch.compile: strides" in table
