"""Rounding errors: what the check lets pass, and what not."""

from __future__ import annotations

import json

import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.pages.operator_tables import build_numerics_table
from benchmarks.suites import numerics
from s3net_kernels import UnsupportedError

QUICK = ["--quick", "--check", "--only", "operators", "--operator", "linear"]


@pytest.fixture
def written(monkeypatch, tmp_path):
    """The result file's content, after a run into a folder of the test's own."""
    monkeypatch.setattr("benchmarks.harness.metadata.RESULTS", tmp_path)
    monkeypatch.setattr(numerics, "has_torch", lambda: False)

    def read():
        (path,) = tmp_path.glob("*.json")
        return json.loads(path.read_text())

    return read


def test_a_kernel_that_gives_nan_fails(monkeypatch, written, capsys):
    compiled = numerics._compile

    def compile_broken(spec, name):
        run = compiled(spec, name)

        def spoil(*arrays):
            value, *gradients = run(*arrays)
            return [value, *gradients[:-1], jnp.full_like(gradients[-1], jnp.nan)]

        return spoil if name == "native" else run

    monkeypatch.setattr(numerics, "_compile", compile_broken)
    with pytest.raises(SystemExit) as ended:
        numerics.main(QUICK)
    said = capsys.readouterr()
    assert ended.value.code == 1 and "native" in said.err and "inf" in said.out
    rows = [r for r in written()["operators"] if r["implementation"] == "native"]
    assert rows and all(r["gradient"] is None and r["value"] >= 0 for r in rows)
    assert "not finite" in build_numerics_table(written())


def test_errors_are_never_nan():
    found = numerics._compute_errors(
        [np.array([np.nan, 1.0]), np.ones(2)], [np.ones(2), np.ones(2)]
    )
    assert found == [np.inf, 0]


def test_a_check_without_the_kernels_fails(monkeypatch, written, capsys):
    there = {"linear": {"xla": None, "native": "its library is missing", "pallas": "no GPU"}}
    monkeypatch.setattr(numerics, "IMPLEMENTATIONS", ("xla", "native", "pallas"))
    monkeypatch.setattr(numerics, "implementations", lambda: there)
    with pytest.raises(SystemExit) as ended:
        numerics.main(QUICK)
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert "Not checked: linear float32 by native: its library is missing." in said


def test_a_check_of_calls_that_all_are_declined_fails(monkeypatch, written, capsys):
    def decline(spec, name):
        def run(*arrays):
            raise UnsupportedError("not this one")

        return run

    monkeypatch.setattr(numerics, "_compile", decline)
    with pytest.raises(SystemExit) as ended:
        numerics.main(QUICK)
    assert ended.value.code == 1 and "no call was served" in capsys.readouterr().err


@pytest.mark.slow
def test_several_processes_measure_the_same(written, capsys):
    """Whatever PyTorch adds: here it is left out, in processes of their own it is not."""
    found = {}
    for processes in ("1", "2"):
        numerics.main([*QUICK, "conv2d", "--processes", processes, "--overwrite"])
        found[processes] = [r for r in written()["operators"] if r["implementation"] != "torch"]
    assert {r["operator"] for r in found["1"]} == {"linear", "conv2d"}
    float32 = [[r for r in rows if r["dtype"] == "float32"] for rows in found.values()]
    assert float32[0] == float32[1]
