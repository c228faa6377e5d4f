"""``s3net bench``: choosing a suite, and what it says where there is none."""

from __future__ import annotations

import sys

import pytest

from benchmarks import __main__ as command
from benchmarks import suites
from benchmarks.suites import step
from s3net_jax.cli import main


def test_lists_the_suites(capsys):
    assert main(["bench"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in suites.SUITES)


def test_passes_a_suites_own_options_on(monkeypatch):
    seen = []
    monkeypatch.setattr(step, "main", seen.append)
    assert main(["bench", "step", "--size", "16", "--json"]) == 0
    assert main(["bench", "step"]) == 0
    assert command.main(["step", "--size", "16"]) == 0
    assert seen == [["--size", "16", "--json"], [], ["--size", "16"]]


def test_an_unknown_suite_is_a_mistake(capsys):
    assert main(["bench", "stepp"]) == 2
    assert "Did you mean step" in capsys.readouterr().err
    assert command.main(["stepp"]) == 2


@pytest.mark.parametrize("missing", ["benchmarks", "benchmarks.suites"])
def test_outside_a_checkout(missing, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "benchmarks.suites")
    monkeypatch.setitem(sys.modules, missing, None)
    assert main(["bench"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("s3net: The benchmarks are not here") and "Traceback" not in err
