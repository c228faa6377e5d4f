"""``s3net bench``: choosing a suite, and the message where there is none."""

from __future__ import annotations

import subprocess

from benchmarks import __main__ as command
from benchmarks import suites
from benchmarks.suites import step
from s3net_jax.cli import main


def test_lists_the_suites(capfd):
    assert main(["bench"]) == 0
    out = capfd.readouterr().out
    assert all(name in out for name in suites.SUITES)


def test_passes_the_options_of_a_suite(monkeypatch):
    started, seen = [], []

    def run(words, check):
        started.append(words[1:])
        return subprocess.CompletedProcess(words, 3)

    monkeypatch.setattr(subprocess, "run", run)
    assert main(["bench", "step", "--size", "16", "--json"]) == 3
    assert started == [["-m", "benchmarks", "step", "--size", "16", "--json"]]
    monkeypatch.setattr(step, "main", seen.append)
    assert command.main(["step", "--size", "16"]) == 0 and command.main(["step"]) == 0
    assert seen == [["--size", "16"], []]


def test_an_unknown_suite_is_a_mistake(capfd):
    assert main(["bench", "stepp"]) == 2
    assert "s3net: There is no suite 'stepp'. Did you mean step" in capfd.readouterr().err


def test_outside_a_checkout(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["bench"]) == 2
    assert capsys.readouterr().err.startswith("s3net: This folder contains no benchmarks")
