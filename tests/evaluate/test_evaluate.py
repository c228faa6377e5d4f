"""An evaluation from the command line to its report."""

from __future__ import annotations

import csv
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

from s3net_jax import cli
from s3net_jax.baselines import BASELINES
from s3net_jax.evaluate import METRICS, PROTOCOLS, measure
from s3net_jax.evaluate.scores import Score, read_array, read_scores, write_scores
from s3net_jax.io import write_stack
from tests.fakes import install_fit, resample_less
from tests.pictures import save_lesion
from tests.report.reading import read_page
from tests.volumes import OBLIQUE, ball, save_nifti

FOLDERS = ["--images", "images", "--masks", "masks", "--out", "o"]
SMALL = ["--preset", "fast", "--size", "32", "--set", "fit.steps=3"]


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install_fit(monkeypatch)
    resample_less(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("S3NET_CACHE", "off")
    Path("masks").mkdir()
    for n, name in enumerate("abc"):
        truth = save_lesion(Path(f"images/{name}.png"), seed=n, shape=(60, 70))
        PilImage.fromarray(truth.astype(np.uint8) * 255).save(f"masks/{name}.png")


def evaluate(*more: str, out: str = "out") -> int:
    arguments = ["--images", "images", "--masks", "masks", "--out", out]
    return cli.main(["evaluate", *arguments, *SMALL, *more])


@pytest.mark.slow
def test_tables_and_report(capsys) -> None:
    assert evaluate() == 0
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert lines[4:6] == ["scoring: 3 images", "baselines: 3 images"]
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


def test_a_missing_reader_is_found_before_anything_is_written(capsys, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "nibabel", None)
    for folder in ("scans", "truths"):
        Path(folder).mkdir()
        Path(folder, "a.nii.gz").touch()
    words = ["--images", "scans", "--masks", "truths", "--out", "out"]
    assert cli.main(["evaluate", *words, *SMALL]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "pip install 's3net-jax[medical]'" in err
    assert not Path("out").exists()
    for images, masks in (("gone", "masks"), ("images", "gone")):
        words = ["--images", images, "--masks", masks, "--out", "out"]
        assert cli.main(["evaluate", *words, *SMALL]) == 2
        assert capsys.readouterr().err == "s3net: gone is not a folder.\n"
    assert evaluate("--against", "gone") == 2
    assert not Path("out").exists()


@pytest.mark.slow
def test_two_evaluations_compared(capsys) -> None:
    assert evaluate() == 0
    assert evaluate("--against", "out", "--set", "segment.target=bright", out="other") == 0
    summary = json.loads(Path("other/summary.json").read_text())
    assert summary["comparisons"]["s3net fast (other)"]["mean"] < 0
    capsys.readouterr()
    Path("images/a.png").write_text("no picture")
    assert evaluate("--against", "out", "--limit", "2", out="again") == 1, (
        "the same, but for one image that failed"
    )
    summary = json.loads(Path("again/summary.json").read_text())
    ours, other = (summary["methods"][f"s3net fast{more}"] for more in ("", " (other)"))
    assert ours["protocols"] == other["protocols"] and ours["images"] == 1
    page = read_page(Path("again/report.html").read_text()).text
    assert "1 input failed" in page and "images/a.png is not a supported image" in page
    assert summary["comparisons"]["s3net fast (other)"]["p_value"] == 1
    text = capsys.readouterr().out
    assert "s3net fast (other)               +0.0 (+0.0 to +0.0), Wilcoxon p = 1" in text


@pytest.mark.slow
def test_data_that_was_moved_keeps_its_results(capsys) -> None:
    assert evaluate() == 0
    Path("images").rename("elsewhere")
    arguments = ["--images", "elsewhere", "--masks", "masks", "--out", "out", *SMALL]
    assert cli.main(["evaluate", *arguments]) == 0
    assert "0 done, 3 kept" in capsys.readouterr().out
    summary = json.loads(Path("out/summary.json").read_text())
    assert summary["methods"]["s3net fast"]["images"] == 3


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--images", "images"], "--out DIR"),
        (["--images", "images", "--out", "o"], "--masks DIR"),
        (["--images", "image", "--masks", "masks", "--out", "o"], "image is not a folder"),
        (["--images", "images", "--masks", "mask", "--out", "o"], "mask is not a folder"),
        (["--images", ".", "--masks", "masks", "--out", "o"], "contains no image"),
        ([*FOLDERS, "--against", "nowhere"], "nowhere is not a table of scores"),
        ([*FOLDERS, "--against", "images/a.png"], "images/a.png is not a table of scores"),
        ([*FOLDERS, "--against", "other.csv"], "other.csv contains no scores of these images"),
    ],
)
def test_commands_that_cannot_be_carried_out(capsys, arguments: list[str], sentence: str) -> None:
    write_scores(Path("other.csv"), [Score("s3net", "x", "blind", dict.fromkeys(METRICS, 1.0), 1)])
    assert cli.main(["evaluate", *arguments, *SMALL]) == 2
    error = capsys.readouterr().err
    assert sentence in error and len(error.splitlines()) == 1
    assert not Path("o").exists()


def test_every_bad_ground_truth_is_reported_before_the_first_fit(capsys) -> None:
    PilImage.fromarray(np.zeros((60, 70), np.uint8)).save("masks/a.png")
    PilImage.fromarray(np.ones((6, 7), np.uint8)).save("masks/b.png")
    Path("masks/c.png").write_text("no picture")
    assert evaluate() == 1
    error = capsys.readouterr().err
    assert "masks/a.png is empty" in error and "masks/c.png can't be read" in error
    assert "b.png is a picture of 7×6 pixels, but its image is a picture of 70×60 pixels" in error
    assert len(error.splitlines()) == 4 and not Path("out").exists()
    Path("images/c.png").write_text("no picture")
    assert evaluate("--limit", "2") == 1 and "2 inputs cannot be used" in capsys.readouterr().err


def test_scores_for_programs(capsys) -> None:
    assert evaluate("--json", "--limit", "1") == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["event"] for event in events] == ["done", "finished", "scores"]
    summary = json.loads(Path("out/summary.json").read_text())
    assert events[-1]["methods"] == summary["methods"]
    assert events[-1]["comparisons"] == summary["comparisons"]
    found = events[-1]["methods"]["s3net fast"]["protocols"]
    assert set(found) == set(PROTOCOLS) and {"mean", "low", "high"} <= set(found["blind"]["dsc"])


@pytest.mark.slow
def test_images_of_one_stem_have_rows_of_their_own(capsys) -> None:
    with PilImage.open("images/a.png") as picture:
        PilImage.new("RGB", picture.size, "white").save("masks/b.jpg")
        picture.save("images/b.jpg")
    assert evaluate("--limit", "3") == 0
    with open("out/metrics.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["protocol"] == "blind"]
    ours = {r["image"]: float(r["dsc"]) for r in rows if r["method"] == "s3net fast"}
    assert list(ours) == ["a", "b-jpg", "b-png"] and ours["b-jpg"] < 50 < 85 < ours["b-png"]
    assert {row["image"] for row in rows} == set(ours)
    assert Path("out/predictions/b-jpg.mask.png").exists()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="names on Windows are text")
def test_names_of_every_kind_are_scored(capsys) -> None:
    """Not UTF-8, a formula, ends of lines, turned text: escaped where they are shown."""
    names = [os.fsdecode(b"=na\xefve"), "-out\n", "abc\u202egnp\"'<b>&amp;"]
    for name in "abc":
        Path(f"images/{name}.png").unlink()
        Path(f"masks/{name}.png").unlink()
    for n, name in enumerate(names):
        truth = save_lesion(Path(f"images/{name}.png"), seed=n, shape=(60, 70))
        PilImage.fromarray(truth.astype(np.uint8) * 255).save(f"masks/{name}.png")
    assert evaluate() == 0
    shown = capsys.readouterr().out
    assert "=na\\udcefve.png" in shown and "-out\\n.png" in shown and "\u202e" not in shown
    content = Path("out/metrics.csv").read_bytes()
    cells = {line.split(",")[1] for line in content.decode().splitlines()}
    assert {"'=na\\udcefve", "'-out\\n", '"abc\\u202egnp""\'<b>&amp;"'} < cells
    assert {score.image for score in read_scores(Path("out/metrics.csv"))} == set(names)
    page = Path("out/report.html").read_text()
    assert "na\\udcefve" in read_page(page).text and "\u202e" not in page
    assert json.loads(Path("out/summary.json").read_text())["failed"] == 0
    assert evaluate("--against", "out", out="again") == 0, "the same images by the same names"
    summary = json.loads(Path("again/summary.json").read_text())
    assert summary["methods"]["s3net fast (other)"]["images"] == len(names)


def test_no_segmented_image_gives_no_scores(capsys) -> None:
    for name in "abc":
        Path(f"images/{name}.png").write_text("no picture")
    assert evaluate() == 1
    assert "No scores were computed" in capsys.readouterr().err
    assert not Path("out/report.html").exists()


@pytest.mark.slow
def test_several_seeds_show_where_they_disagree(capsys) -> None:
    assert evaluate("--seeds", "2") == 0
    page = read_page(Path("out/report.html").read_text())
    alts = [img["alt"] or "" for img in page.all("img")]
    assert sum("agreement of the seeds" in alt for alt in alts) == 3
    assert any("seed 1, step 1" in alt for alt in alts) and "Loss for each seed" in page.text


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


def test_a_ground_truth_with_other_axes_than_its_volume(capsys) -> None:
    pytest.importorskip("nibabel")
    values, truth = ball((40, 48, 7))
    truth[:20] = False  # what is turned round lies elsewhere
    save_nifti(Path("scans/v.nii.gz"), values)
    save_nifti(Path("truths/v.nii.gz"), truth.astype(np.uint8))
    turned = OBLIQUE[:, [1, 0, 2, 3]].copy()
    turned[:3, 3] += 39 * OBLIQUE[:3, 0]
    turned[:3, 1] *= -1
    save_nifti(Path("turned/v.nii.gz"), truth[::-1].transpose(1, 0, 2).astype(np.uint8), turned)
    tables = []
    for masks in ("truths", "turned"):
        arguments = ["--images", "scans", "--masks", masks, "--out", "out", "--target", "dark"]
        assert cli.main(["evaluate", *arguments, *SMALL]) == 0
        tables.append(Path("out/metrics.csv").read_text())
    assert tables[0] == tables[1] and "slice 3 of 7" in Path("out/report.html").read_text()


def test_every_page_of_a_stack_is_scored(capsys) -> None:
    values, truth = ball((40, 48, 7))
    pages = np.clip(np.moveaxis(values, -1, 0) // 8 + 110, 0, 255).astype(np.uint8)
    Path("scans").mkdir()
    Path("truths").mkdir()
    write_stack(Path("scans/s.tif"), pages)
    write_stack(Path("truths/s.tif"), np.moveaxis(truth, -1, 0).astype(np.uint8))
    arguments = ["--images", "scans", "--masks", "truths", "--out", "out", "--target", "dark"]
    assert cli.main(["evaluate", *arguments, *SMALL, "--seeds", "2"]) == 0
    with open("out/metrics.csv", newline="") as file:
        rows = {row["protocol"]: row for row in csv.DictReader(file)}
    assert len(rows) == 4, "volumes and stacks have no baselines"
    found = read_array(Path("out/predictions/s.mask.tif")) > 0
    scored = measure(np.moveaxis(found, 0, -1), truth)
    assert float(rows["blind"]["dsc"]) == pytest.approx(scored["dsc"], abs=1e-3)
    assert float(rows["blind"]["hd95"]) == pytest.approx(scored["hd95"], abs=1e-3)
    page = read_page(Path("out/report.html").read_text())
    assert page.text.count("slice 4 of 7") >= 2
    write_stack(Path("truths/s.tif"), np.moveaxis(truth, -1, 0)[:1].astype(np.uint8))
    assert cli.main(["evaluate", *arguments, *SMALL]) == 1
    assert (
        "is a picture of 48×40 pixels, but its image is a volume of 7×40×48"
        in capsys.readouterr().err
    )
