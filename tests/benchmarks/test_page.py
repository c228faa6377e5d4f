"""The README and the documentation show what the committed result files hold."""

from __future__ import annotations

import json

import pytest

from benchmarks.operator_tables import numerics_table
from benchmarks.page import PAGE, PLOTS, README, RESULTS, page, readme


def test_the_readme_shows_the_committed_figures():
    text = README.read_text()
    assert readme(text) == text


def test_the_documentation_shows_the_committed_figures():
    assert PAGE.read_text() == page()
    assert {p.stem for p in PLOTS.glob("*.svg")} == {p.stem for p in RESULTS.glob("*.json")}


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda p: p.stem)
def test_draws(path, tmp_path):
    pytest.importorskip("matplotlib", reason="plots need the extra bench")
    from benchmarks.plots import save_plot

    target = tmp_path / "plot.svg"
    save_plot(json.loads(path.read_text()), target)
    assert "<svg" in target.read_text()


@pytest.mark.parametrize("missing", ["operators", "trajectories"])
def test_rounding_errors_as_far_as_they_were_measured(missing, tmp_path):
    pytest.importorskip("matplotlib", reason="plots need the extra bench")
    from benchmarks.plots import save_plot

    content = json.loads((RESULTS / "numerics-avx2.json").read_text())
    whole = numerics_table(content)
    content[missing] = type(content[missing])()
    part = numerics_table(content)
    assert len(part) < len(whole) and set(part.splitlines()) <= set(whole.splitlines())
    save_plot(content, tmp_path / "plot.svg")
    assert "<svg" in (tmp_path / "plot.svg").read_text()
