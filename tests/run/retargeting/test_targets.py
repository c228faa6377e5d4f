"""Targets chosen after a run: every rule, lists of labels, tables, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

from tests.fakes import install_fit
from tests.pictures import save_lesion
from tests.run.retargeting.folders import (
    area,
    read_files,
    records,
    retarget,
    segment,
)
from tests.run.small import picture


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install_fit(monkeypatch)
    monkeypatch.chdir(tmp_path)


ESTIMATES = ("expected_dsc", "check", "basis", "evidence")
RULES = ["auto", "dark", "bright", "center", "all", "point:3,4"]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("outline", ["clusters", "local"])
def test_a_rule_gives_what_a_new_run_would(rule: str, outline: str) -> None:
    save_lesion(Path("a.png"))
    more = ("--set", f"segment.boundary={outline}")
    segment("a.png", more=(*more, "--target", rule))
    expected = {n: c for n, c in read_files().items() if "history" not in n}
    estimate = {name: records()["a"][name] for name in ESTIMATES}
    for path in Path("out").iterdir():
        path.unlink()
    first = "dark" if rule == "bright" else "bright"
    segment("a.png", more=(*more, "--target", first))
    assert retarget("--target", rule) == 0
    found = read_files()
    assert {name: found[name] for name in expected} == expected
    record = records()["a"]
    # With local outlines, different rules can give the same mask, which is then not replaced.
    assert record.get("retargeted", {"target": rule})["target"] == rule
    assert ("retargeted" in record) == (record.get("version", 1) == 2)
    assert record["area"] == area("a")
    if "retargeted" in record:
        assert {name: record[name] for name in ESTIMATES} == estimate


def test_best_gives_the_clusters_that_another_rule_would_use() -> None:
    save_lesion(Path("a.png"))
    best = ("--preset", "best", "--size", "32", "--set", "fit.members=2")
    segment("a.png", more=(*best, "--target", "dark"))
    expected = {n: c for n, c in read_files().items() if "history" not in n}
    for path in Path("out").iterdir():
        path.unlink()
    segment("a.png", more=best)
    assert "clusters" in records()["a"]["outputs"]
    assert retarget("--target", "dark") == 0
    found = read_files()
    assert {name: found[name] for name in expected} == expected


@pytest.mark.slow
def test_labels_are_picked_merged_and_changed() -> None:
    save_lesion(Path("a.png"))
    segment("a.png", more=("--set", "segment.min_island=0"))
    labels = picture(Path("out/a.labels.png"))
    count = int(labels.max()) + 1
    assert count == 3
    assert retarget("--target", "label:0") == 0
    assert records()["a"]["target"] == [0]
    assert area("a") >= np.count_nonzero(labels == 0)  # small holes are filled
    assert retarget("--target", "label:1,2") == 0
    assert records()["a"]["target"] == [1, 2] and records()["a"]["labels"] == 3
    assert retarget("--target", "label:-2") == 0
    assert records()["a"]["target"] == [1]
    assert retarget("--target", "label: +2") == 0
    assert records()["a"]["target"] == [1, 2]
    assert retarget("--target", "label:1+2") == 0
    record = records()["a"]
    assert record["labels"] == 2 and record["version"] == 6
    merged = picture(Path("out/a.labels.png"))
    assert np.array_equal(merged == record["target"][0], labels > 0)


@pytest.mark.slow
def test_only_changed_results_are_written(capsys) -> None:
    segment()
    before = {path: path.stat().st_mtime_ns for path in Path("out").iterdir()}
    assert retarget("--target", "auto") == 0
    assert "0 changed, 3 unchanged" in capsys.readouterr().out
    assert {p: p.stat().st_mtime_ns for p in Path("out").iterdir()} == before
    assert retarget("--target", "label:0", "--only", "b.png", "in/c.png") == 0
    assert [stem for stem, record in records().items() if "version" in record] == ["b", "c"]
    kept = [path for path in before if path.name.startswith("a.") or "history" in path.name]
    assert all(path.stat().st_mtime_ns == before[path] for path in kept)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["plain", "excel", "tabs"])
def test_a_table_chooses_for_each_image(form: str) -> None:
    segment()
    text = 'image,target,verdict\na.png,"label:0",bad\n\nb,,good\nin/c.png,bright,\n'
    if form != "plain":
        sign = ";" if form == "excel" else "\t"
        text = "\ufeff" + text.replace('"', "").replace(",", sign).replace("\n", "\r\n")
        text = text.replace("image", " Image ", 1)
    Path("targets.csv").write_bytes(text.encode())
    assert retarget("--targets", "targets.csv") == 0
    found = records()
    assert found["a"]["target"] == [0] and found["a"]["verdict"] == "bad"
    assert found["b"]["verdict"] == "good" and "version" not in found["b"]
    assert found["c"]["retargeted"]["target"] == "bright" and "verdict" not in found["c"]
    size = Path("out/results.jsonl").stat().st_size
    assert retarget("--targets", "targets.csv") == 0
    assert Path("out/results.jsonl").stat().st_size == size, "nothing changes twice"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("image,rule\na,dark\n", ["line 1: the column target is missing; found: image, rule"]),
        ("image,target\na,drak\n", ["line 2: There is no target 'drak'. Did you mean dark?"]),
        ("image,target\n\nax.png,dark\n", ["line 3: out has no result of 'ax.png'. Did you mean"]),
        ("image,target\na,dark\na.png,all\n", ["line 3", "already in line 2"]),
        ("image,target\na,label:1,2\n", ["line 2: it has 3 cells", "in double quotes"]),
        ("image,target\n,dark\n", ["line 2: The column image is empty."]),
        ("image,target\na,label:1,\nzzz,dark\n", ["line 3: out has no result of 'zzz'"]),
        ("image,target\na,label:x\nzzz,dark\n", ["2 rows are wrong", "line 2", "line 3"]),
        ("", ["it is empty"]),
        ("image,target\na,\n", ["has no row with a target or a verdict"]),
    ],
)
def test_wrong_tables_change_nothing(text: str, sentences: list[str], capsys) -> None:
    segment()
    before = read_files()
    Path("targets.csv").write_text(text)
    assert retarget("--targets", "targets.csv") == 1
    said = capsys.readouterr().err
    assert all(sentence in said for sentence in sentences), said
    assert "targets.csv" in said and "Traceback" not in said
    assert read_files() == before


def test_a_table_that_is_not_utf8(capsys) -> None:
    segment()
    Path("targets.csv").write_bytes("image,target\nbär,dark\n".encode("cp1252"))
    assert retarget("--targets", "targets.csv") == 1
    assert "save it as CSV UTF-8" in capsys.readouterr().err


@pytest.mark.slow
def test_labels_that_do_not_exist_are_named_and_the_rest_is_done(capsys) -> None:
    segment()
    Path("t.csv").write_text("image,target\na,label:7\nb,label:0\n")
    assert retarget("--targets", "t.csv") == 1
    said = capsys.readouterr()
    assert "t.csv, line 2: in/a.png has no cluster 7; its clusters are 0 to 2." in said.err
    assert "1 changed, 0 unchanged, 1 failed" in said.out
    assert "version" not in records()["a"] and records()["b"]["target"] == [0]
    assert retarget("--target", "label:-0,-1,-2", "--only", "a") == 1
    assert "Nothing is left of the target of in/a.png" in capsys.readouterr().err
    assert retarget("--target", "point:99,3", "--only", "a") == 1
    assert "the point 99,3 is outside it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "give exactly one of --target"),
        (["--target", "dark", "--undo"], "--target and --undo exclude each other"),
        (["--target", "label:"], "Invalid target 'label:'"),
        (["--target", "label:1,+2"], "Invalid target"),
        (["--target", "label:1,1"], "names label 1 twice"),
        (["--target", "dark", "--only", "d.png"], "out has no result of 'd.png'"),
        (["--targets", "t.csv", "--only", "a"], "--only does not apply"),
        (["--undo", "--images", "in"], "--images does not apply"),
    ],
)
def test_commands_that_cannot_be_carried_out(arguments, sentence: str, capsys) -> None:
    segment()
    assert retarget(*arguments) == 2
    assert sentence in capsys.readouterr().err


def test_folders_that_are_not_runs(capsys) -> None:
    from s3net_jax.cli import main

    assert main(["retarget"]) == 2
    assert main(["retarget", "nothing", "--target", "dark"]) == 2
    assert "nothing is not a folder" in capsys.readouterr().err
    Path("out/predictions").mkdir(parents=True)
    assert retarget("--target", "dark") == 2
    assert "out contains no results.jsonl" in capsys.readouterr().err
    Path("out/predictions/results.jsonl").touch()
    assert retarget("--target", "dark") == 2
    assert "Did you mean out/predictions?" in capsys.readouterr().err
    segment("in", more=()) if Path("in").exists() else segment()
    Path("out/run.json").write_text("{}")
    assert retarget("--target", "dark") == 2
    assert "run.json can't be used" in capsys.readouterr().err


def test_results_that_are_not_as_written(capsys) -> None:
    segment()
    Path("out/a.labels.png").unlink()
    Path("out/b.mask.png").write_bytes(b"painted")
    save_lesion(Path("in/c.png"), seed=9)
    assert retarget("--target", "label:0") == 1
    said = capsys.readouterr().err
    assert "out/a.labels.png is missing. To repair it" in said
    assert "out/b.mask.png has" in said and "in/c.png has changed since" in said
    assert Path("out/b.mask.png").read_bytes() == b"painted"


@pytest.mark.slow
def test_inputs_that_were_moved(capsys) -> None:
    segment()
    Path("in").rename("moved")
    assert retarget("--target", "label:0") == 1
    assert "name its present place with --images" in capsys.readouterr().err
    assert retarget("--target", "label:0", "--images", "moved") == 0


@pytest.mark.slow
def test_events_for_programs(capsys) -> None:
    segment()
    assert retarget("--target", "label:0", "--only", "a", "b", "--json") == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["event"] for event in events] == ["retargeted", "retargeted", "finished"]
    assert events[0]["retargeted"]["previous"] and events[2]["changed"] == 2


def test_clusters_are_listed_and_drawn(capsys) -> None:
    segment()
    assert retarget("--list", "numbers", "--only", "a") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "a:" and said[1].startswith("  label 0: ")
    assert "100 % in the target" in "".join(said)
    with PilImage.open("numbers/a.numbers.png") as drawn:
        assert drawn.size == (1000, 750)
    assert retarget("--list", "--json") == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    shares = [sum(one["share"] for one in event["clusters"]) for event in events]
    assert shares == pytest.approx([1, 1, 1])
