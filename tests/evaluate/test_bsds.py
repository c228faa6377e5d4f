"""Evaluations of regions, from files in both layouts to tables and pages."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage
from scipy.io import savemat

from s3net_jax import cli
from s3net_jax.baselines import REGION_BASELINES
from s3net_jax.config import ConfigError
from s3net_jax.criteria import REGIONS, TARGET, get_criteria
from s3net_jax.evaluate import find_pairs, measure_regions, read_segmentations, split_components
from s3net_jax.evaluate.annotations import read_annotations
from s3net_jax.evaluate.scores import read_array, read_scores
from s3net_jax.experiments import DataSet, relocate
from s3net_jax.io import InputError, limits
from tests.evaluate.bsds import draw_scene, save_arrays, save_bsds500, save_mat
from tests.fakes import install_fit, resample_less
from tests.report.reading import read_page

SMALL = ["--preset", "fast", "--size", "32", "--set", "fit.steps=3"]
PEOPLE = "one person against the others"
EXPERIMENT = """
kind = "comparison"
title = "regions"
[[methods]]
preset = "fast"
set = { input = { size = 32 }, model = { channels = 4 }, fit = { steps = 3 } }
[[methods]]
baseline = "k-means on RGB"
clusters = 4
[[methods]]
name = "published"
paper.nature = { covering = 59, vi = 1.69 }
[data.nature]
dataset = "bsds500"
images = "data"
"""


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install_fit(monkeypatch)
    resample_less(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("S3NET_CACHE", "off")


def evaluate(*more: str, images: str = "data", out: str = "out") -> int:
    words = ["--dataset", "bsds500", "--images", images, "--out", out]
    return cli.main(["evaluate", *words, *SMALL, *more])


def rows(path: str) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_both_layouts_hold_the_same() -> None:
    save_bsds500(Path("BSR/BSDS500/data"), {"train": "cd", "val": "b", "test": "a"})
    save_bsds500(Path("BSR/bench/data"), {".": "c"})
    save_arrays(Path("arrays"), "cd")
    pairs = find_pairs("bsds500", Path("BSR"), None)
    assert [(p.stem, p.truth.parent.name) for p in pairs] == [
        *(("a", "test"), ("c", "train"), ("d", "train"), ("b", "val")),
    ]
    assert all(p.criteria is REGIONS and p.truth.suffix == ".mat" for p in pairs)
    for place in ("BSR/BSDS500/data/images/train", "arrays", "arrays/images"):
        assert [p.stem for p in find_pairs("bsds500", Path(place), None)] == ["c", "d"]
    for one, other in zip(
        find_pairs("bsds500", Path("BSR/BSDS500/data/images/train"), None),
        find_pairs("bsds500", Path("arrays"), None),
        strict=True,
    ):
        left, right = (read_segmentations(p.truth, None) for p in (one, other))
        assert len(left) == 3 and left[0].dtype == np.int32
        np.testing.assert_array_equal(left, right)
    np.testing.assert_array_equal(left, draw_scene(1)[1])
    next(Path("arrays/groundtruth").glob("d.*")).unlink()
    with pytest.raises(InputError, match=r"no ground truth for 1 of 2 images \(d.jpg\); download"):
        find_pairs("bsds500", Path("arrays"), None)
    with pytest.raises(ConfigError, match="no image of this data set; download BSDS500 from"):
        find_pairs("bsds500", Path("arrays/groundtruth"), None)


def test_an_evaluation(capsys) -> None:
    save_bsds500(Path("data"), {"test": "abc"})
    assert evaluate() == 0
    text = capsys.readouterr().out
    assert "mean (95 % interval)" in text and "VI (bits)" in text
    assert "DSC" not in text.partition("scoring")[2]  # lines of images show their expected DSC
    assert "covering of s3net fast minus that of each method below" in text
    table = rows("out/metrics.csv")
    methods = ["s3net fast", *REGION_BASELINES, PEOPLE]
    assert list(dict.fromkeys(row["method"] for row in table)) == methods
    assert len(table) == 3 * 2 * len(methods)
    assert list(table[0]) == ["method", "image", "protocol", *REGIONS.metrics, "seconds"]
    labels = read_array(Path("out/predictions/a.labels.png"))
    people = read_segmentations(Path("data/groundTruth/test/a.mat"), None)
    for row, found in zip(table, (split_components(labels), labels), strict=False):
        assert row["image"] == "a"
        for name, value in measure_regions(found, people).items():
            assert float(row[name]) == pytest.approx(value, abs=1e-4)
    summary = json.loads(Path("out/summary.json").read_text())
    assert summary["protocols"] == REGIONS.protocols
    means = {name: summary["methods"][name]["protocols"]["components"] for name in methods}
    assert (
        means["whole image"]["covering"]["mean"] < means["k-means on RGB, K=5"]["covering"]["mean"]
    )
    assert set(means["SLIC"]["vi"]) == {"mean", "low", "high", "count"}
    assert set(summary["comparisons"]) == set(methods[1:])
    page = read_page(Path("out/report.html").read_text())
    assert "All metrics, clusters" in page.text and "the tool's regions" in page.text
    assert "blind DSC" not in page.text and "released" not in page.text
    assert len(page.all("article")) == 3 and "covering" in page.text
    (choices,) = [[o["value"] for o in page.all("option")]]
    assert choices == ["covering", "pri", "miou", "mioufine", "mioucoarse", "name"]
    assert all(
        f"data-{choice}" in figure for figure in page.all("figure")[-3:] for choice in choices
    )


@pytest.mark.slow
def test_resumed_compared_and_checked(capsys) -> None:
    save_arrays(Path("data"), "ab")
    assert evaluate() == 0
    assert evaluate("--against", "out", "--set", "fit.steps=2", out="again") == 0
    summary = json.loads(Path("again/summary.json").read_text())
    assert "s3net fast (other)" in summary["comparisons"]
    assert cli.main(["check", "out"]) == 0
    assert {s.protocol for s in read_scores(Path("out/metrics.csv"))} == set(REGIONS.protocols)
    capsys.readouterr()
    text = Path("out/metrics.csv").read_text()
    Path("other.csv").write_text(text.replace(",components,", ",blind,"))
    assert evaluate("--against", "other.csv", out="third") == 2
    assert "other.csv is not a table of scores" in capsys.readouterr().err
    head = f"method,image,protocol,{','.join(TARGET.metrics)},seconds\n"
    Path("other.csv").write_text(f"{head}x,a,blind,1,2,3,4,5,6\n")
    assert evaluate("--against", "other.csv", out="third") == 2
    error = capsys.readouterr().err
    assert "has other metrics than this evaluation, which needs covering, pri" in error


def test_every_unusable_ground_truth_is_reported_before_the_first_fit(capsys) -> None:
    save_bsds500(Path("data"), {"test": "abcdef"})
    folder = Path("data/groundTruth/test")
    save_mat(folder / "a.mat", draw_scene(0, (40, 50))[1])
    (folder / "b.mat").write_bytes(b"no matrix")
    savemat(folder / "c.mat", {"truth": np.ones((40, 48))})
    savemat(folder / "d.mat", {"groundTruth": np.ones((40, 48))})
    save_mat(folder / "e.mat", [np.ones((40, 48)), np.ones((4, 4))])
    save_mat(folder / "f.mat", [np.full((40, 48), 0.5)])
    assert evaluate() == 1
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 7 and not Path("out").exists()
    for sentence in (
        "a.mat is a picture of 50×40 pixels, but its image is a picture of 48×40 pixels: sizes",
        "b.mat is broken or cut off",
        "c.mat is not a ground truth of BSDS500: it has no variable groundTruth",
        "d.mat is not a ground truth of BSDS500: each cell of groundTruth must be a structure",
        "e.mat contains segmentations of shapes (40, 48) and (4, 4)",
        "f.mat contains float64 values: segments must be whole numbers",
    ):
        assert sentence in error, sentence


def test_arrays_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    good = np.ones((2, 3, 4), np.int64)
    for arrays, sentence in (
        ({"map": good}, "has no array maps"),
        ({"maps": good[0]}, r"array maps of shape \(3, 4\): it must be \(people, height, width\)"),
        ({"maps": good[:0]}, "contains no segmentation"),
        ({"maps": good[:, :0]}, "all must be"),
        ({"maps": good * 2**40}, "labels beyond 32 bits, such as 1099511627776"),
        ({"maps": good.astype(object)}, "is broken or cut off"),
        ({"maps": good.astype(bool)}, "contains bool values"),
    ):
        np.savez(path, **arrays)  # pyright: ignore[reportArgumentType]
        with pytest.raises(InputError, match=sentence):
            read_annotations(path)
    np.savez_compressed(path, maps=np.zeros((5, 300, 300), np.uint8))
    with limits(max_pixels=10_000), pytest.raises(InputError, match="it is damaged"):
        read_annotations(path)
    with pytest.raises(InputError, match=r"gone.npz can't be read: no such file"):
        read_annotations(tmp_path / "gone.npz")


@pytest.mark.slow
def test_a_comparison_beside_masks(capsys) -> None:
    """Each data set has its own metrics; the table has the columns of both."""
    save_arrays(Path("data"), "ab")
    Path("skin/masks").mkdir(parents=True)
    Path("skin/images").mkdir()
    image, (four, *_) = draw_scene(0)
    PilImage.fromarray(image).save("skin/images/a.png")
    PilImage.fromarray(((four == 1) * 255).astype(np.uint8)).save("skin/masks/a.png")
    alone = EXPERIMENT
    both = EXPERIMENT + '[data.skin]\nimages = "skin/images"\nmasks = "skin/masks"\n'
    for name, text in (("alone", alone), ("both", both)):
        Path(f"{name}.toml").write_text(text)
        assert cli.main(["compare", f"{name}.toml", "--out", name]) == 0
    shown = capsys.readouterr().out
    assert "mean covering" in shown and "mean blind DSC" in shown
    table = rows("alone/table.csv")
    assert {row["protocol"] for row in table} == {*REGIONS.protocols, ""}
    first, published = table[0], next(row for row in table if row["method"] == "published")
    assert list(first)[5:8] == ["covering", "covering_low", "covering_high"]
    assert published["paper_covering"] == "59.0" and published["paper_vi"] == "1.69"
    assert "paper_dsc" not in first and first["protocol"] == "components"
    summary = json.loads(Path("alone/summary.json").read_text())
    methods = [row["method"] for row in summary["data"]["nature"]]
    named = ["s3net fast", "k-means on RGB, K=4", "published"]
    assert methods == [*named, *REGION_BASELINES, PEOPLE]
    assert summary["protocols"] == REGIONS.protocols
    single = json.loads(Path("alone/nature/s3net-fast/summary.json").read_text())
    assert list(single["methods"]) == ["s3net fast", *REGION_BASELINES, PEOPLE]
    markdown = Path("alone/table.md").read_text()
    assert "| covering ↑ | PRI ↑ | VI (bits) ↓ | mIoU all ↑ | paper covering |" in markdown
    page = Path("alone/report.html").read_text()
    assert "All metrics, clusters" in page and "1.69" in page and "released" not in page
    mixed = rows("both/table.csv")
    assert {"covering", "dsc", "paper_vi", "paper_hm"} <= set(mixed[0])
    for row in mixed:
        if row["protocol"]:
            own = "covering" if row["data"] == "nature" else "dsc"
            assert bool(row["covering"]) == (own == "covering") != bool(row["dsc"])
    assert "blind" in Path("both/report.html").read_text()


def test_metrics_of_another_kind_in_a_file(capsys) -> None:
    save_arrays(Path("data"), "a")
    Path("e.toml").write_text(EXPERIMENT.replace("vi = 1.69", "dsc = 80"))
    assert cli.main(["compare", "e.toml", "--out", "out"]) == 2
    assert "paper.nature: there is no metric 'dsc'. Known: covering" in capsys.readouterr().err
    Path("t.toml").write_text(
        'kind = "tuning"\ntitle = "t"\npreset = "paper"\n[grid]\nfit.learning_rate = [0.1, 0.2]\n'
        '[data.nature]\ndataset = "bsds500"\nimages = "data"\n'
    )
    assert cli.main(["tune", "t.toml", "--out", "out"]) == 2
    assert "a.npz divides the whole image, but s3net tune needs masks" in capsys.readouterr().err
    assert not Path("out").exists()


def test_a_folder_of_masks_does_not_become_regions() -> None:
    save_arrays(Path("data"), "a")
    Path("data/masks").mkdir()
    (found,) = relocate([DataSet("n", "bsds500", Path("x"), None)], ["n=data"])
    assert found.dataset == "bsds500" and found.images == Path("data")


def test_criteria_are_found_by_their_protocols() -> None:
    assert get_criteria(["blind"]) is TARGET and get_criteria(REGIONS.protocols) is REGIONS
    for names in ([], ["blind", "components"], ["x"]):
        with pytest.raises(ValueError, match="no criteria"):
            get_criteria(names)
    assert TARGET.main == "blind DSC" and REGIONS.main == "covering"
