"""README, benchmark pages and quality pages show what the committed result files hold."""

from __future__ import annotations

import json

import pytest

from benchmarks.pages.__main__ import README, build_documents, main
from benchmarks.pages.marked import replace_marked
from benchmarks.pages.operator_tables import build_numerics_table
from benchmarks.pages.suite_pages import FOLDER, RESULTS, read_results


def test_the_pages_show_the_committed_figures():
    for path, text in build_documents().items():
        assert path.read_text() == text, f"{path}: run python -m benchmarks.pages"
    assert {p.stem for p in FOLDER.glob("*.svg")} == {*read_results()}
    assert main(["--check"]) == 0
    assert "classical recipe" in README.read_text()


def test_every_suite_page_begins_with_a_summary():
    pages = sorted(FOLDER.glob("*.md"))
    assert {p.stem for p in pages} == {"step", "fit", "many", "scaling", "ops", "numerics"}
    for page in pages:
        titles = [line for line in page.read_text().splitlines() if line.startswith("#")]
        assert titles[1] == "## Summary", page


def test_a_page_without_the_marked_part_is_refused():
    text = "a\n<!-- x: start -->\nold\n<!-- x: end -->\nb\n"
    assert replace_marked(text, "x", "new\n") == text.replace("old\n", "\nnew\n\n")
    with pytest.raises(ValueError, match="no part 'y'"):
        replace_marked(text, "y", "new\n")


@pytest.mark.parametrize("name", sorted(read_results()))
def test_every_result_with_a_page_can_be_drawn(name, tmp_path):
    pytest.importorskip("matplotlib", reason="plots need the extra bench")
    from benchmarks.pages.plots import save_plot

    target = tmp_path / "plot.svg"
    save_plot(read_results()[name], target)
    assert "<svg" in target.read_text()


@pytest.mark.parametrize("missing", ["operators", "trajectories"])
def test_rounding_errors_as_far_as_they_were_measured(missing, tmp_path):
    pytest.importorskip("matplotlib", reason="plots need the extra bench")
    from benchmarks.pages.plots import save_plot

    content = json.loads((RESULTS / "numerics-avx2.json").read_text())
    whole = build_numerics_table(content)
    content[missing] = type(content[missing])()
    part = build_numerics_table(content)
    assert len(part) < len(whole) and set(part.splitlines()) <= set(whole.splitlines())
    save_plot(content, tmp_path / "plot.svg")
    assert "<svg" in (tmp_path / "plot.svg").read_text()
