"""Test the options of the command that measure and export."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from s3net_jax.csv_text import parse_csv
from tests.cli.calling import SMALL, s3net
from tests.pictures import save_lesion

pytestmark = pytest.mark.usefixtures("place")


def test_options(capsys: pytest.CaptureFixture[str]) -> None:
    save_lesion(Path("a.png"))
    words = ["--pixel-size", "0.1,0.2", "--measure-clusters", "--instances", "--clusters", "2"]
    code, _, err = s3net(
        capsys, "segment", "a.png", *SMALL, *words, "--export", "coco,geojson", "--target", "dark"
    )
    assert code == 0, err
    (row,) = parse_csv(Path("out/measures.csv").read_bytes())
    assert (row["pixel_width_mm"], row["pixel_height_mm"]) == ("0.1", "0.2")
    assert len(parse_csv(Path("out/measures_clusters.csv").read_bytes())) == 2
    names = {path.name for path in Path("out").iterdir()}
    assert names >= {"a.instances.png", "a.outlines.geojson", "coco.json", "a.measures.json"}
    run = json.loads(Path("out/run.json").read_text())
    assert run["config"]["segment"]["clusters"] == 2 and run["output"]["export"] == [
        "geojson",
        "coco",
    ]
    code, out, _ = s3net(capsys, "check", "out")
    assert code == 0, out
    code, _, err = s3net(capsys, "segment", "a.png", *SMALL, "--clusters", "2", "--target", "dark")
    assert code == 2 and "another configuration, seed or output option" in err


def test_measures_are_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    save_lesion(Path("a.png"))
    assert s3net(capsys, "segment", "a.png", *SMALL)[0] == 0
    names = {path.name for path in Path("out").iterdir()}
    kinds = {f"a.{kind}" for kind in ("labels.png", "mask.png", "overlay.png", "history.json")}
    assert names == {*kinds, "measures.csv", "report.html", "results.jsonl", "run.json"}


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--pixel-size", "wide"], "The pixel size can't be 'wide': give millimetres"),
        (["--pixel-size", "0"], "The pixel size can't be '0'"),
        (["--export", "svg"], "There is no export format 'svg'. Known: geojson, coco, imagej."),
        (["--clusters", "1"], "segment.clusters must be at least 2"),
        (["--clusters", "few"], "segment.clusters can't be 'few': expected int."),
    ],
)
def test_mistakes(capsys: pytest.CaptureFixture[str], words: list[str], problem: str) -> None:
    save_lesion(Path("a.png"))
    code, _, err = s3net(capsys, "segment", "a.png", *SMALL, *words)
    assert code == 2 and problem in err and len(err.splitlines()) == 1
    assert not Path("out").exists()


def test_too_few_clusters(capsys: pytest.CaptureFixture[str]) -> None:
    save_lesion(Path("a.png"))
    code, out, err = s3net(capsys, "segment", "a.png", *SMALL, "--clusters", "9")
    assert code == 0 and (out + err).count("fewer than the 9 that segment.clusters asks for") == 1
