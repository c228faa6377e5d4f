"""Test that the tables of a folder survive interruptions, and replace no other file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from s3net_jax.csv_text import parse_csv
from s3net_jax.errors import ConfigError, OutputError
from s3net_jax.evaluate import check_folder
from s3net_jax.run import OutputOptions, Rank, ResultLog
from s3net_jax.run.output.tables import TABLES
from tests.fakes import install_fit
from tests.pictures import save_lesion
from tests.run.small import interrupt_at, run, run_json

ALL = OutputOptions((1.0, 1.0), measure_clusters=True, instances=True, export=("geojson", "coco"))


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    install_fit(monkeypatch)


@pytest.fixture
def inputs(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{name}.png" for name in "abc"]
    for seed, path in enumerate(paths):
        save_lesion(path, seed)
    return paths


def read_tables(tmp_path: Path) -> dict[str, bytes]:
    found = [tmp_path / "out" / name for name in TABLES]
    return {path.name: path.read_bytes() for path in found if path.exists()}


def list_names(tmp_path: Path) -> list[str]:
    return [row["name"] for row in parse_csv(read_tables(tmp_path)["measures.csv"])]


@pytest.mark.slow
def test_a_resumed_run_has_the_tables_of_an_undisturbed_one(
    tmp_path: Path, inputs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, *inputs, output=ALL)
    expected = read_tables(tmp_path)
    assert [*expected] == [*TABLES]
    assert run_json(tmp_path)["output"] == {
        "pixel_size": [1.0, 1.0],
        "measure_clusters": True,
        "instances": True,
        "export": ["geojson", "coco"],
        "segment_name": "",
        "segment_code": "",
    }
    (tmp_path / "out").rename(tmp_path / "whole")
    install_fit(monkeypatch, interrupt_at(3))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, *inputs[::-1], output=ALL)
    assert len(list_names(tmp_path)) == 2, "what is finished is measured"
    assert "coco.json" not in read_tables(tmp_path)
    install_fit(monkeypatch)
    assert run(tmp_path, *inputs, output=ALL).skipped == 2
    assert read_tables(tmp_path) == expected
    for name in TABLES:
        (tmp_path / "out" / name).unlink()
    assert run(tmp_path, *inputs, output=ALL).skipped == 3
    assert read_tables(tmp_path) == expected, "also where there is nothing else to do"
    assert not check_folder(tmp_path / "out").files


def test_tables_have_only_results(tmp_path: Path, inputs: list[Path]) -> None:
    inputs[1].write_text("no picture")
    assert run(tmp_path, *inputs, output=ALL).failed == 1
    assert list_names(tmp_path) == ["a", "c"]


@pytest.mark.parametrize(
    "changed",
    [
        OutputOptions(),
        OutputOptions((1.0, 2.0), True, True, ("geojson", "coco")),
        OutputOptions((1.0, 1.0), False, True, ("geojson", "coco")),
        OutputOptions((1.0, 1.0), True, True, ("coco",)),
        None,
    ],
)
def test_changed_options_are_noticed(
    tmp_path: Path, inputs: list[Path], changed: OutputOptions | None
) -> None:
    run(tmp_path, *inputs, output=ALL)
    before = read_tables(tmp_path)
    with pytest.raises(OutputError, match="another configuration, seed or output option"):
        run(tmp_path, *inputs, output=changed)
    assert read_tables(tmp_path) == before


@pytest.mark.slow
def test_overwriting_removes_tables_that_are_not_wanted(tmp_path: Path, inputs: list[Path]) -> None:
    run(tmp_path, *inputs, output=ALL)
    run(tmp_path, *inputs, output=OutputOptions(), overwrite=True)
    assert [*read_tables(tmp_path)] == ["measures.csv"]
    assert not list((tmp_path / "out").glob("*.instances.png"))
    assert not list((tmp_path / "out").glob("*.geojson"))
    assert list_names(tmp_path) == ["a", "b", "c"]


def test_a_killed_replacement_leaves_no_outdated_tables(
    tmp_path: Path, inputs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, *inputs, output=ALL)

    def kill(*_: Any, **__: Any) -> None:
        assert not read_tables(tmp_path)
        raise KeyboardInterrupt

    install_fit(monkeypatch, kill)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, *inputs, output=ALL, overwrite=True)
    assert list_names(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_files_of_others_are_kept(tmp_path: Path, inputs: list[Path], name: str) -> None:
    (tmp_path / "out").mkdir()
    own = tmp_path / "out" / name
    own.write_text("foreign")
    with pytest.raises(OutputError, match=rf"{name} was not written by s3net segment"):
        run(tmp_path, *inputs, output=ALL)
    assert own.read_text() == "foreign"
    if name != "measures.csv":
        run(tmp_path, *inputs, output=OutputOptions())
        assert own.read_text() == "foreign"
    run(tmp_path, *inputs, output=ALL, overwrite=True)
    assert own.read_text() != "foreign"


def test_results_of_earlier_versions_are_kept_and_named(tmp_path: Path, inputs: list[Path]) -> None:
    run(tmp_path, inputs[0])
    assert not read_tables(tmp_path), "without options, nothing is measured"
    summary = run(tmp_path, *inputs, output=OutputOptions())
    assert (summary.done, summary.skipped) == (2, 1)
    first, second, _ = parse_csv(read_tables(tmp_path)["measures.csv"])
    assert int(first["area_px"]) > 0 and first["perimeter_px"] == ""
    assert float(second["perimeter_px"]) > 0
    assert summary.notes[-1].endswith(
        "has only the area of 1 result from an earlier version; to measure them, repeat the "
        "command with --overwrite."
    )


def test_processes_write_the_tables_of_all(tmp_path: Path, inputs: list[Path]) -> None:
    for index in range(2):
        run(tmp_path, *inputs, output=ALL, rank=Rank(index, 2))
    assert list_names(tmp_path) == ["a", "b", "c"]
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert not [name for name in names if name.startswith(".")]


def test_missing_files_are_noted(tmp_path: Path, inputs: list[Path]) -> None:
    run(tmp_path, *inputs, output=ALL)
    (tmp_path / "out/b.measures.json").unlink()
    (tmp_path / "out/b.instances.png").unlink()
    summary = run(tmp_path, inputs[0], output=ALL)
    assert len(summary.notes) == 2 and "b.measures.json is left out" in summary.notes[0]
    assert "Left out of" in summary.notes[1] and "b.instances.png" in summary.notes[1]
    assert list_names(tmp_path) == ["a", "b", "c"]
    assert run(tmp_path, *inputs, output=ALL).done == 1, "repaired"
    assert not check_folder(tmp_path / "out").files


def test_images_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        save_lesion(tmp_path / folder / "a.png")
    run(tmp_path, tmp_path / "x", tmp_path / "y", output=OutputOptions(export=("coco",)))
    content = json.loads((tmp_path / "out/coco.json").read_bytes())
    found = [one["file_name"] for one in content["images"]]
    assert found == [str(tmp_path / "x/a.png"), str(tmp_path / "y/a.png")]


def test_a_missing_package_stops_before_anything_is_written(
    tmp_path: Path, inputs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("s3net_jax.measure.exports.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="requires roifile"):
        run(tmp_path, *inputs, output=OutputOptions(export=("imagej",)))
    assert not (tmp_path / "out").exists()


def test_damaged_tables_are_found(tmp_path: Path, inputs: list[Path]) -> None:
    run(tmp_path, *inputs, output=ALL)
    path = tmp_path / "out/measures.csv"
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    assert check_folder(tmp_path / "out").files == {path: "can't be read: it is broken or cut off"}
    path.write_bytes(b"".join(content.splitlines(True)[:-1]))
    assert check_folder(tmp_path / "out").files == {path: "does not have a row for each result"}
    path.unlink()
    assert check_folder(tmp_path / "out").files == {path: "is missing"}
    assert ResultLog(tmp_path / "out/results.jsonl").list_finished()[0].get("measures")
