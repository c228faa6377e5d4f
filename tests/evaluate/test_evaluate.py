"""An evaluation from the command line to its report."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

from s3net_jax import cli
from s3net_jax.baselines import BASELINES
from tests.fakes import install_fit
from tests.pictures import save_lesion
from tests.report.reading import read_page
from tests.volumes import ball, save_nifti

SMALL = ["--preset", "fast", "--size", "32", "--set", "fit.steps=3"]


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install_fit(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("S3NET_CACHE", "off")
    Path("masks").mkdir()
    for n, name in enumerate("abc"):
        truth = save_lesion(Path(f"images/{name}.png"), seed=n, shape=(60, 70))
        PilImage.fromarray(truth.astype(np.uint8) * 255).save(f"masks/{name}.png")


def evaluate(*more: str, out: str = "out") -> int:
    arguments = ["--images", "images", "--masks", "masks", "--out", out]
    return cli.main(["evaluate", *arguments, *SMALL, *more])


def test_tables_and_report(capsys) -> None:
    assert evaluate() == 0
    text = capsys.readouterr().out
    assert "s3net fast" in text and "classical recipe" in text and "Wilcoxon p" in text
    with open("out/metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 4 * (1 + len(BASELINES))
    assert {row["protocol"] for row in rows} == {"released", "overlap", "oracle", "blind"}
    summary = json.loads(Path("out/summary.json").read_text())
    ours = summary["methods"]["s3net fast"]["protocols"]["blind"]["dsc"]
    assert ours["count"] == 3 and ours["low"] <= ours["mean"] <= ours["high"]
    mine = [
        float(r["dsc"]) for r in rows if r["method"] == "s3net fast" and r["protocol"] == "blind"
    ]
    assert ours["mean"] == pytest.approx(np.mean(mine), abs=1e-3) and min(mine) > 85
    page = read_page(Path("out/report.html").read_text())
    assert {f["data-name"] for f in page.all("figure") if "data-name" in f} == set("abc")
    assert all((img["src"] or "").startswith("data:image/") for img in page.all("img"))
    assert len(page.all("article")) == 3 and "Best" in page.text and "Worst" in page.text
    alts = [img["alt"] or "" for img in page.all("img")]
    assert sum("seed 0, step 1: 3 clusters" in alt for alt in alts) == 3, "a film of each"
    assert evaluate() == 0 and "kept" in capsys.readouterr().out


def test_two_evaluations_compared(capsys) -> None:
    assert evaluate() == 0
    assert evaluate("--against", "out", "--set", "segment.target=bright", out="other") == 0
    summary = json.loads(Path("other/summary.json").read_text())
    assert summary["comparisons"]["s3net fast (other)"]["mean"] < 0


def test_data_that_was_moved_keeps_its_results(capsys) -> None:
    assert evaluate() == 0
    Path("images").rename("elsewhere")
    arguments = ["--images", "elsewhere", "--masks", "masks", "--out", "out", *SMALL]
    assert cli.main(["evaluate", *arguments]) == 0
    assert "0 done, 3 kept" in capsys.readouterr().out
    summary = json.loads(Path("out/summary.json").read_text())
    assert summary["methods"]["s3net fast"]["images"] == 3


def test_mistakes(capsys) -> None:
    assert cli.main(["evaluate", "--images", "images"]) == 2
    assert cli.main(["evaluate", "--images", "images", "--out", "o"]) == 2
    assert "--masks DIR" in capsys.readouterr().err
    PilImage.fromarray(np.zeros((60, 70), np.uint8)).save("masks/b.png")
    assert evaluate() == 1
    assert "masks/b.png is empty" in capsys.readouterr().err
    PilImage.fromarray(np.ones((6, 7), np.uint8)).save("masks/b.png")
    assert evaluate() == 1
    assert "its image (60, 70)" in capsys.readouterr().err
    assert evaluate("--against", "images/a.png") == 1
    assert "is not a table of scores" in capsys.readouterr().err


def test_nothing_segmented_is_nothing_to_score(capsys) -> None:
    for name in "abc":
        Path(f"images/{name}.png").write_text("no picture")
    assert evaluate() == 1
    assert "nothing to score" in capsys.readouterr().err
    assert not Path("out/report.html").exists()


def test_several_seeds_show_where_they_disagree(capsys) -> None:
    assert evaluate("--seeds", "2") == 0
    page = read_page(Path("out/report.html").read_text())
    alts = [img["alt"] or "" for img in page.all("img")]
    assert sum("agreement of the seeds" in alt for alt in alts) == 3
    assert any("seed 1, step 1" in alt for alt in alts) and "Loss of every seed" in page.text


def test_a_volume_shows_the_slice_with_most_of_the_ground_truth(capsys) -> None:
    pytest.importorskip("nibabel")
    values, truth = ball((40, 48, 7))
    save_nifti(Path("scans/v.nii.gz"), values)
    save_nifti(Path("truths/v.nii.gz"), truth.astype(np.uint8))
    arguments = ["--images", "scans", "--masks", "truths", "--out", "out", "--target", "dark"]
    assert cli.main(["evaluate", *arguments, *SMALL]) == 0
    page = read_page(Path("out/report.html").read_text())
    assert len(page.all("article")) == 1
    assert page.text.count("slice 3 of 7") == 2, "at large, and in the gallery"
    assert "slice 4 of 7, seed 0" in page.text and "Against" not in page.text
