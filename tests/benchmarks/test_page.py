"""The README and the documentation show what the committed result files hold."""

from __future__ import annotations

import json

import pytest

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
