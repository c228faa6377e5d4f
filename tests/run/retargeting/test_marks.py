"""Marks in files: every form, repetition, and what is refused."""

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
    save_lesion(Path("in/a.png"))
    segment("in", more=("--target", "bright"))
    Path("marks").mkdir()


INSIDE, OUTSIDE = (32, 24), (5, 5)  # x, y of 64×48 pixels


def save_colors(path: Path = Path("marks/a.png"), mode: str = "RGB") -> None:
    with PilImage.open("in/a.png") as image:
        pixels = np.array(image.convert("RGB"))
    pixels[24, 32], pixels[5, 5] = (0, 255, 0), (255, 0, 0)
    PilImage.fromarray(pixels).convert(mode).save(path)


def save_values() -> None:
    values = np.zeros((48, 64), np.uint8)
    values[24, 32], values[5, 5] = 1, 2
    PilImage.fromarray(values).save("marks/a.png")


def save_shapes(key: str) -> None:
    def make(kind: str, coordinates: object, mark: str) -> dict[str, object]:
        value = {"mark": mark} if key == "mark" else {"classification": {"name": mark.title()}}
        geometry = {"type": kind, "coordinates": coordinates}
        return {"type": "Feature", "properties": value, "geometry": geometry}

    features = [
        make("MultiPoint", [[32.5, 24.5], [33, 25, 0]], "inside"),
        make("LineString", [[3, 3], [60, 3], [64, 48]], "outside"),
        make("Polygon", [[[28, 20], [36, 20], [36, 28], [28, 20]]], "inside"),
    ]
    content = {"type": "FeatureCollection", "features": features} if key == "mark" else features
    Path("marks/a.geojson").write_text(json.dumps(content))


def save_table() -> None:
    Path("marks/a.csv").write_bytes("\ufeffx;y;mark\r\n32,5;24;Inside\r\n5;5;outside\r\n".encode())


@pytest.mark.parametrize(
    "save",
    [save_colors, lambda: save_colors(mode="RGBA"), save_values, save_table]
    + [lambda key=key: save_shapes(key) for key in ("mark", "qupath")],
    ids=["rgb", "rgba", "values", "table", "geojson", "qupath"],
)
def test_every_form_corrects_the_mask(save) -> None:
    before = read_files()
    save()
    assert retarget("--marks", "marks") == 0
    mask = picture(Path("out/a.mask.png"))
    assert mask[24, 32] == 255 and mask[5, 5] == 0
    record = records()["a"]
    change = record["retargeted"]
    assert change["target"] == "marks" and change["inside"] >= 1 and change["base"] == 1
    assert record["area"] == area("a")
    labels = picture(Path("out/a.labels.png"))
    assert np.array_equal(np.isin(labels, record["target"]), mask > 0)
    assert retarget("--undo", "a") == 0
    assert read_files() == before


def test_one_table_for_all_images() -> None:
    Path("points.csv").write_text("image,x,y,mark\na.png,32,24,inside\na.png,5,5,outside\n")
    assert retarget("--marks", "points.csv") == 0
    assert records()["a"]["retargeted"]["outside"] == 1


def test_marks_in_several_rounds_give_the_result_of_all_at_once(capsys) -> None:
    Path("marks/a.csv").write_text("x,y,mark\n32,24,inside\n")
    assert retarget("--marks", "marks") == 0
    size = Path("out/results.jsonl").stat().st_size
    assert retarget("--marks", "marks") == 0
    assert "0 changed, 1 unchanged" in capsys.readouterr().out
    assert Path("out/results.jsonl").stat().st_size == size
    save_table()
    assert retarget("--marks", "marks") == 0
    in_rounds = Path("out/a.mask.png").read_bytes()
    assert retarget("--undo") == retarget("--undo") == 0
    assert retarget("--marks", "marks") == 0
    assert Path("out/a.mask.png").read_bytes() == in_rounds


def test_other_targets_after_marks_use_the_clusters_of_the_fit() -> None:
    before = picture(Path("out/a.labels.png"))
    save_table()
    assert retarget("--marks", "marks") == 0
    assert np.array_equal(picture(Path("out/a.clusters.png")), before)
    assert retarget("--target", "label:0") == 0
    assert np.array_equal(picture(Path("out/a.labels.png")), before)
    assert not Path("out/a.clusters.png").exists()


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.csv", "x,y\n1,2\n", "marks/a.csv is not a table of points (line 1: the column mark"),
        ("a.csv", "x,y,mark\n1,2,in\n", "marks/a.csv, line 2: x and y must be numbers and mark"),
        ("a.csv", "x,y,mark\n64,2,inside\n", "line 2: The image has 64×48 pixels; the mark at"),
        ("a.csv", "x,y,mark\n", "marks/a.csv contains no point"),
        ("ab.csv", "x,y,mark\n1,2,inside\n", "out has no result of 'ab'. Did you mean a"),
        ("a.geojson", "{", "marks/a.geojson is not GeoJSON (it is not JSON"),
        ("a.json", "{}", "marks/a.json is not GeoJSON: it must be a FeatureCollection"),
        ("a.json", "[{}]", "feature 1: the property mark must be inside or outside, got None"),
        ("a.json", "[]", "contains no marks"),
        ("a.png", "no picture", "marks/a.png is broken"),
        ("a.jpg", "", "blurs marks: save them as PNG"),
        ("notes.md", "", "marks contains no marks"),
    ],
)
def test_wrong_files_change_nothing(name: str, content: str, sentence: str, capsys) -> None:
    before = read_files()
    (Path("marks") / name).write_text(content)
    assert retarget("--marks", "marks") == 1
    said = capsys.readouterr().err
    assert sentence in said and "Traceback" not in said
    assert read_files() == before


@pytest.mark.parametrize(
    ("geometry", "sentence"),
    [
        ({"type": "Point", "coordinates": [99, 1]}, "the mark at 99,1 is outside it"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [99, 1], [3, 3]]]}, "the mark at 99,1"),
        ({"type": "Circle", "coordinates": [1, 1]}, "must be points, lines or polygons"),
        ({"type": "LineString", "coordinates": "x"}, "must be points, lines or polygons"),
        (None, "must be points, lines or polygons"),
    ],
)
def test_wrong_shapes_are_refused(geometry: object, sentence: str, capsys) -> None:
    feature = {"type": "Feature", "properties": {"mark": "inside"}, "geometry": geometry}
    Path("marks/a.json").write_text(json.dumps([feature]))
    assert retarget("--marks", "marks") == 1
    assert sentence in capsys.readouterr().err


def test_wrong_pictures_are_refused(capsys) -> None:
    PilImage.new("RGB", (64, 48), (90, 120, 90)).save("marks/a.png")
    assert retarget("--marks", "marks") == 1
    assert "draw green (0, 255, 0) inside" in capsys.readouterr().err
    PilImage.new("RGB", (32, 24), (0, 255, 0)).save("marks/a.png")
    assert retarget("--marks", "marks") == 1
    assert "has 32×24 pixels, but its image has 64×48" in capsys.readouterr().err
    assert retarget("--marks", "nothing") == 1
    assert "nothing does not exist" in capsys.readouterr().err


def test_marks_of_a_volume_are_refused(capsys) -> None:
    pages = [PilImage.open("in/a.png").convert("L").rotate(angle) for angle in (0, 180)]
    pages[0].save("stack.tif", save_all=True, append_images=pages[1:])
    segment("stack.tif", more=("--target", "bright"))
    Path("marks/stack.csv").write_text("x,y,mark\n32,24,inside\n")
    assert retarget("--marks", "marks") == 1
    assert "stack.tif is a volume, and marks correct only pictures" in capsys.readouterr().err
    assert retarget("--target", "dark", "--only", "stack") == 0
