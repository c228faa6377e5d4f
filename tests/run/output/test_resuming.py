"""Test runs into folders with results: kept, replaced or resumed, never mixed or lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from s3net_jax.io import OutputError
from tests.fakes import install_fit
from tests.pictures import save_lesion
from tests.run.small import CONFIG, PICTURES, interrupt_at, lines, picture, run, run_json


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    install_fit(monkeypatch)


def test_same_stems_do_not_overwrite_one_another(tmp_path: Path) -> None:
    save_lesion(tmp_path / "x/a.png", seed=1)
    save_lesion(tmp_path / "y/a.png", seed=2, shape=(40, 40))
    run(tmp_path, tmp_path / "x", tmp_path / "y")
    assert picture(tmp_path / "out/x-a.mask.png").shape == (48, 64)
    assert picture(tmp_path / "out/y-a.mask.png").shape == (40, 40)


def test_what_is_done_is_kept_and_failures_are_tried_again(tmp_path: Path, monkeypatch) -> None:
    save_lesion(tmp_path / "a.png")
    run(tmp_path, tmp_path / "a.png", tmp_path / "b.png")
    before = (tmp_path / "out/a.mask.png").stat().st_mtime_ns
    save_lesion(tmp_path / "b.png")
    summary = run(tmp_path, tmp_path / "a.png", tmp_path / "b.png")
    assert (summary.done, summary.skipped, summary.failed) == (1, 1, 0)
    assert (tmp_path / "out/a.mask.png").stat().st_mtime_ns == before
    # A failure is recorded at once, a result when it is written.
    assert sorted(record["stem"] for record in lines(tmp_path)) == ["a", "b"]
    assert not any("error" in record for record in lines(tmp_path))
    (tmp_path / "out/a.overlay.png").unlink()
    assert run(tmp_path, tmp_path / "a.png").done == 1, "a result with a part missing is done again"


def test_the_result_of_an_input_that_is_away_for_a_while_stays_valid(tmp_path: Path) -> None:
    save_lesion(tmp_path / "a.png")
    run(tmp_path, tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "away.png")
    assert run(tmp_path, tmp_path / "a.png").failed == 1
    assert run(tmp_path, tmp_path / "a.png", overwrite=True).failed == 1
    (tmp_path / "away.png").rename(tmp_path / "a.png")
    assert run(tmp_path, tmp_path / "a.png").skipped == 1


def test_an_input_that_joins_renames_none(tmp_path: Path) -> None:
    """Inputs have equal stems, equal names in different folders, or were moved."""
    save_lesion(tmp_path / "in/a.png", seed=1)
    run(tmp_path, tmp_path / "in")
    save_lesion(tmp_path / "in/a.bmp", seed=2)
    save_lesion(tmp_path / "more/a.png", seed=3)
    (tmp_path / "in").rename(tmp_path / "moved")
    summary = run(tmp_path, tmp_path / "more", tmp_path / "moved")
    assert (summary.done, summary.skipped, summary.failed) == (2, 1, 0)
    found = {record["stem"]: Path(record["input"]).name for record in lines(tmp_path)}
    assert found == {"a": "a.png", "moved-a-bmp": "a.bmp", "more-a-png": "a.png"}
    assert run(tmp_path, tmp_path / "moved/a.bmp").skipped == 1, "alone it keeps its name, too"
    assert run(tmp_path, tmp_path / "moved", overwrite=True).done == 2
    assert len(lines(tmp_path)) == 3


def test_an_input_that_fails_leaves_no_files_of_what_it_replaces(tmp_path: Path) -> None:
    for name in "ab":
        save_lesion(tmp_path / f"{name}.png")
    run(tmp_path, tmp_path / "a.png", tmp_path / "b.png", seeds=2)
    (tmp_path / "a.png").write_text("no picture")
    inputs = tmp_path / "a.png", tmp_path / "b.png"
    assert run(tmp_path, *inputs, overwrite=True).failed == 1
    names = {path.name for path in (tmp_path / "out").iterdir()} - {"results.jsonl", "run.json"}
    assert names == {f"b.{kind}" for kind in ("history.json", *PICTURES)}


@pytest.mark.slow
def test_a_killed_replacing_run_resumes_without_overwrite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [tmp_path / f"{name}.png" for name in "abc"]
    for name in names:
        save_lesion(name)
    run(tmp_path, *names, seeds=2)
    other = CONFIG.replace(fit={"steps": 4})
    install_fit(monkeypatch, interrupt_at(2))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, *names, config=other, overwrite=True)
    install_fit(monkeypatch)
    with pytest.raises(OutputError, match="another configuration"):
        run(tmp_path, *names, seeds=2)
    names[2].write_text("no picture")
    summary = run(tmp_path, *names, config=other)
    assert (summary.done, summary.skipped, summary.failed) == (1, 1, 1)
    assert {record.get("steps") for record in lines(tmp_path)} == {4, None}
    left = {path.name for path in (tmp_path / "out").iterdir()} - {"results.jsonl", "run.json"}
    assert left == {f"{s}.{kind}" for s in "ab" for kind in ("history.json", *PICTURES)}


def test_a_run_file_of_unknown_origin_is_not_touched_unasked(tmp_path: Path) -> None:
    save_lesion(tmp_path / "a.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/run.json").write_text('{"scripts": {}}')
    with pytest.raises(OutputError, match=r"run.json was not written by s3net segment"):
        run(tmp_path, tmp_path / "a.png")
    assert run(tmp_path, tmp_path / "a.png", overwrite=True).done == 1


def test_other_results_are_not_touched_unasked(tmp_path: Path) -> None:
    save_lesion(tmp_path / "a.png")
    run(tmp_path, tmp_path / "a.png")
    other = CONFIG.replace(fit={"steps": 4})
    with pytest.raises(OutputError, match="another configuration, seed or output option"):
        run(tmp_path, tmp_path / "a.png", config=other)
    with pytest.raises(OutputError, match="another configuration, seed or output option"):
        run(tmp_path, tmp_path / "a.png", seed=1)
    assert run(tmp_path, tmp_path / "a.png", config=other, overwrite=True).done == 1
    assert len(lines(tmp_path)) == 1 and lines(tmp_path)[0]["steps"] == 4
    save_lesion(tmp_path / "a.png", seed=5)
    with pytest.raises(OutputError, match="another picture"):
        run(tmp_path, tmp_path / "a.png", config=other)


def test_foreign_files_are_not_touched_unasked(tmp_path: Path) -> None:
    save_lesion(tmp_path / "a.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.mask.png").write_text("foreign")
    with pytest.raises(OutputError, match="not from a finished run"):
        run(tmp_path, tmp_path / "a.png")
    assert (tmp_path / "out/a.mask.png").read_text() == "foreign"
    assert run(tmp_path, tmp_path / "a.png", overwrite=True).done == 1


def test_inputs_are_never_overwritten(tmp_path: Path) -> None:
    for name in ("a.png", "a.mask.png"):
        save_lesion(tmp_path / "out" / name)
    before = (tmp_path / "out/a.mask.png").read_bytes()
    with pytest.raises(OutputError, match="an input and would be replaced by a result"):
        run(tmp_path, *(tmp_path / "out" / n for n in ("a.png", "a.mask.png")), overwrite=True)
    assert (tmp_path / "out/a.mask.png").read_bytes() == before


def test_a_foreign_results_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/results.jsonl").write_text("shopping list\n")
    with pytest.raises(OutputError, match="not a list of results"):
        run(tmp_path, tmp_path / "a.png")


def test_an_interrupted_run_keeps_what_is_finished(tmp_path: Path, monkeypatch) -> None:
    for name in ("a.png", "b.png"):
        save_lesion(tmp_path / name)
    install_fit(monkeypatch, interrupt_at(2))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, tmp_path / "a.png", tmp_path / "b.png")
    assert run_json(tmp_path)["status"] == "interrupted"
    assert [record["stem"] for record in lines(tmp_path)] == ["a"]
    summary = run(tmp_path, tmp_path / "a.png", tmp_path / "b.png")
    assert (summary.done, summary.skipped) == (1, 1)
