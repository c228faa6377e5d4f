"""The README shows what the committed result files hold."""

from __future__ import annotations

from benchmarks.readme import README, render


def test_the_readme_shows_the_committed_figures():
    text = README.read_text()
    assert render(text) == text
