"""The suites measure presets in the released order of the inception, and name it."""

from __future__ import annotations

import json

import pytest

from benchmarks.harness import candidates
from benchmarks.harness.candidates import OURS, Candidate
from benchmarks.harness.metadata import collect_metadata
from benchmarks.harness.presets import has_other_order, load_preset
from benchmarks.pages.quality import SUMMARIES, explain_mark, make_short_cells
from benchmarks.pages.suite_pages import FOLDER, INDEX
from s3net_jax.presets import PRESETS, preset

NOTE = "`paper`: measured in the released order of the inception (`model.inception=dilated`)."


def test_only_the_papers_presets_are_changed():
    changed = [name for name in PRESETS if load_preset(name) != preset(name)]
    assert changed == ["paper", "paper-lung"] == [n for n in PRESETS if has_other_order(n)]
    assert all(load_preset(n).model.inception == "dilated" for n in PRESETS)


@pytest.mark.parametrize("suite", ["step", "fit"])
def test_candidates_have_the_released_order(suite, monkeypatch):
    seen = []
    for function in ("_build_step", "_build_fit"):
        monkeypatch.setattr(
            candidates, function, lambda config, *_, **__: (seen.append(config), 0.0)
        )
    candidates.build(Candidate(suite, OURS, "paper", 16, 4, "float32"))
    assert [config.model.inception for config in seen] == ["dilated"]


def test_results_and_pages_name_the_order():
    assert collect_metadata("python -m benchmarks step")["inception"] == "dilated"
    for page in (INDEX, *(FOLDER / f"{s}.md" for s in ("step", "fit", "scaling", "numerics"))):
        assert NOTE in page.read_text(), page
    for suite in ("many", "ops"):  # no preset of the paper
        assert NOTE not in (FOLDER / f"{suite}.md").read_text()


def test_scores_in_the_released_order_are_marked():
    """A row is marked where its summary has the released order, and only there."""
    _, rows = make_short_cells({"s3net paper": "paper", "s3net released": "released"})
    orders = {}
    for stem in ("s3net", "untuned"):
        summary = json.loads((SUMMARIES / f"{stem}.json").read_text())
        model = summary["methods"]["s3net paper"]["config"]["model"]
        orders |= dict.fromkeys(summary["data"], model.get("inception", "dilated"))
    marked = [cell.endswith("†") for cell in rows[0][1:-1]]
    assert marked == [order == "dilated" for order in orders.values()]
    assert "†" not in "".join(rows[1])
    assert explain_mark(rows[1:]) == ""
    assert explain_mark(rows) == "\n† released order of the inception\n" * any(marked)
