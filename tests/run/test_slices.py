"""Only some slices of a volume: the others have label 0 and no mask, on the grid of the file."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import s3net_jax as s3
from s3net_jax.cli import main
from s3net_jax.cli.display import QuietDisplay
from s3net_jax.config import find_slices, format_slices
from s3net_jax.errors import ConfigError, InputError, OutputError
from s3net_jax.evaluate import evaluate
from s3net_jax.run import LocalEngine, OutputOptions
from tests.fakes import install_fit
from tests.pictures import save_lesion
from tests.run.small import CONFIG, lines, run, run_json
from tests.volumes import OBLIQUE, ball, save_nifti

AXIAL = CONFIG.replace(input={"axis": "axial", "window": "-1000,400"})


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    install_fit(monkeypatch)


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    pytest.importorskip("nibabel")
    save_nifti(tmp_path / "scan.nii.gz", ball()[0])
    return tmp_path / "scan.nii.gz"


def choose(slices: str, config: s3.Config = AXIAL) -> s3.Config:
    return config.replace(input={"slices": slices})


def read(path: Path) -> Any:
    import nibabel as nib

    return nib.load(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("all", range(9)), ("3:6", range(2, 6)), ("3:", range(2, 9)), (":6", range(6)), ("9:9", [8])],
)
def test_ranges(text: str, expected: range) -> None:
    assert list(find_slices(text, 9, "scan")) == list(expected)


@pytest.mark.parametrize(
    "text", ["", ":", "0:3", "6:3", "3", "3-6", "3:6:2", "-1:3", "03:6", "a:b"]
)
def test_what_is_no_range(text: str) -> None:
    with pytest.raises(ConfigError, match="give A:B with A at most B") as caught:
        choose(text)
    assert repr(text) in str(caught.value)


def test_numbers_as_a_range() -> None:
    assert format_slices((3, 6)) == "3:6"
    assert format_slices([np.int64(3), None]) == "3:" and format_slices((None, 6)) == ":6"
    assert format_slices((None, None)) == "all"
    for wrong in (3, (3,), (1, 2, 3), ("a", 2), (1.5, 2), (0, 2), (6, 3)):
        with pytest.raises(ConfigError, match=r"slices can't be"):
            format_slices(wrong)


def test_only_these_slices_are_segmented(tmp_path: Path, scan: Path) -> None:
    summary = run(tmp_path, scan, config=choose("3:6"), seeds=2, output=OutputOptions())
    assert (summary.done, summary.failed) == (1, 0)
    labels, mask = (read(tmp_path / f"out/scan.{kind}.nii.gz") for kind in ("labels", "mask"))
    assert labels.shape == (20, 24, 9)
    np.testing.assert_allclose(labels.affine, OBLIQUE, atol=1e-5)
    (record,) = lines(tmp_path)
    assert record["slices"] == [3, 6] and record["depth"] == 9 and record["notes"] == []
    inside = np.zeros(9, bool)
    inside[3:7] = True  # axial slices run from the feet, and the third axis to the feet
    labels, mask = np.asarray(labels.dataobj), np.asarray(mask.dataobj)
    assert not labels[..., ~inside].any() and not mask[..., ~inside].any()
    assert all(mask[..., n].any() and len(np.unique(labels[..., n])) > 1 for n in range(3, 7))
    history = json.loads((tmp_path / "out/scan.history.json").read_text())
    assert {fit["piece"] for fit in history["fits"]} == {2, 3, 4, 5}
    # The slices themselves are as in a run of the whole volume: its window is theirs.
    run(tmp_path / "whole", scan, config=AXIAL, seeds=2)
    whole = np.asarray(read(tmp_path / "whole/out/scan.mask.nii.gz").dataobj)
    np.testing.assert_array_equal(mask[..., inside], whole[..., inside])
    assert "slices" not in lines(tmp_path / "whole")[0]


def test_other_slices_are_another_result(tmp_path: Path, scan: Path) -> None:
    run(tmp_path, scan, config=choose("3:6"))
    assert run(tmp_path, scan, config=choose("3:6")).skipped == 1
    for other in (choose("3:7"), AXIAL):
        with pytest.raises(OutputError, match="another configuration"):
            run(tmp_path, scan, config=other)
    assert run(tmp_path, scan, config=choose("3:7"), overwrite=True).done == 1
    assert run_json(tmp_path)["config"]["input"]["slices"] == "3:7"
    assert s3.Config().digest == s3.Config().replace(input={"slices": "all"}).digest


def test_out_of_range_and_pictures(tmp_path: Path, scan: Path) -> None:
    save_lesion(tmp_path / "a.png")
    summary = run(tmp_path, scan, tmp_path / "a.png", config=choose("5:10"))
    assert summary.failures == [
        f"{scan} has 9 slices, so 5:10 is out of range: choose other slices.",
        f"{tmp_path / 'a.png'} is a picture, not a volume: omit the slices 5:10.",
    ]
    with pytest.raises(InputError, match="is a picture"):
        s3.segment(tmp_path / "a.png", config=choose("5:10"))


def test_from_python(tmp_path: Path, scan: Path) -> None:
    run(tmp_path, scan, config=choose("3:6"))
    result = s3.segment_volume(scan, config=AXIAL, slices=(3, 6))
    for kind, found in (("labels", result.labels), ("mask", result.mask)):
        expected = np.asarray(read(tmp_path / f"out/scan.{kind}.nii.gz").dataobj)
        np.testing.assert_array_equal(found, expected)
    text = s3.segment_volume(scan, config=AXIAL, slices="3:6")
    np.testing.assert_array_equal(text.labels, result.labels)
    clusters = result.measure("clusters")
    assert isinstance(clusters, list)
    voxels = [row["volume_voxels"] for row in clusters]
    assert sum(int(count or 0) for count in voxels) == 20 * 24 * 4, "only of these slices"
    with pytest.raises(InputError, match="has 9 slices, so 10: is out of range"):
        s3.segment_volume(scan, config=AXIAL, slices=(10, None))


def test_clusters_merge_by_these_slices(scan: Path) -> None:
    values = np.asarray(read(scan).dataobj).copy()
    values[..., 5:] = 3000  # far from every colour, outside the slices
    save_nifti(scan, values)
    config = choose("6:9").replace(segment={"clusters": 2})
    result = s3.segment_volume(scan, config=config)
    assert result.labels.max() == 1 and result.mask.any()
    assert not result.labels[..., 4:].any() and not result.mask[..., 4:].any()


def test_an_overlay_without_a_target_shows_them(tmp_path: Path, scan: Path) -> None:
    values = np.asarray(read(scan).dataobj)
    save_nifti(scan, np.where(np.arange(9) < 1, values, values.max()))
    config = choose("9:9").replace(segment={"target": "bright", "min_island": 0.99})
    assert run(tmp_path, scan, config=config, report=True).done == 1
    assert (tmp_path / "out/scan.overlay.png").exists()


def test_the_command(tmp_path: Path, scan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--preset", "fast", "--size", "32", "--set", "fit.steps=2", "--out"]
    more = ["--measure-clusters", "--axis", "axial"]
    out = tmp_path / "out"
    assert main(["segment", str(scan), *words, str(out), "--slices", "4:5", *more]) == 0
    rows = list(csv.DictReader((out / "measures_clusters.csv").read_text().splitlines()))
    assert sum(int(row["volume_voxels"]) for row in rows) == 20 * 24 * 2
    assert main(["retarget", str(out), "--target", "label:0"]) == 0
    mask = np.asarray(read(out / "scan.mask.nii.gz").dataobj)
    assert mask[..., 4:6].any() and not mask[..., :4].any() and not mask[..., 6:].any()
    capsys.readouterr()
    assert main(["segment", str(scan), *words, str(out), "--slices", "5"]) == 2
    assert "give A:B" in capsys.readouterr().err


def test_an_evaluation_scores_whole_volumes(tmp_path: Path) -> None:
    config = choose("1:2")
    with pytest.raises(ConfigError, match="scores whole volumes"):
        evaluate([], tmp_path, config, engine=LocalEngine(config), listener=QuietDisplay())
