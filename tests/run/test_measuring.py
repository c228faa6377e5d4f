"""Test what a run measures and exports, for every kind of input, and that Python agrees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

import s3net_jax as s3
from s3net_jax.csv_text import parse_csv
from s3net_jax.io import read_nifti
from s3net_jax.measure import measure_labels, measure_mask, round_row
from s3net_jax.run import OutputOptions, read_array
from tests.fakes import install_fit
from tests.pictures import save_lesion
from tests.run.small import CONFIG, lines, picture, run
from tests.volumes import ball, save_dicom, save_nifti


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    install_fit(monkeypatch)


def read_table(tmp_path: Path, name: str = "measures.csv") -> list[dict[str, str]]:
    return parse_csv((tmp_path / "out" / name).read_bytes())


def clear(row: dict[str, Any]) -> dict[str, str]:
    """Format a row of Python as the cells of a table."""
    formatted = {k: "" if v is None else v for k, v in round_row(row).items()}
    return {k: f"{v:.6g}" if isinstance(v, float) else str(v) for k, v in formatted.items()}


def agree(row: dict[str, str], expected: dict[str, Any]) -> bool:
    """Compare cells with measures as numbers."""
    for name, value in clear(expected).items():
        if name in ("pixel_size_from",) or value == "":
            assert row[name] == value, name
        else:
            assert float(row[name]) == pytest.approx(float(value)), name
    return True


def test_pictures(tmp_path: Path) -> None:
    for n, name in enumerate(("b.png", "=a.png")):
        save_lesion(tmp_path / name, seed=n)
    options = OutputOptions(pixel_size=(0.1, 0.2), measure_clusters=True, instances=True)
    assert run(tmp_path, tmp_path, output=options).done == 2
    content = (tmp_path / "out/measures.csv").read_bytes()
    assert content.startswith(b"name,input,width_px,height_px,pixel_width_mm,")
    assert b"\n'=a," in content
    rows = read_table(tmp_path)
    assert [row["name"] for row in rows] == ["=a", "b"]
    for row in rows:
        mask = picture(tmp_path / f"out/{row['name']}.mask.png") > 0
        image = picture(tmp_path / f"{row['name']}.png")
        expected = measure_mask(mask, image, (0.2, 0.1)) | {"pixel_size_from": "option"}
        assert agree(row, expected)
        assert row["input"] == str(tmp_path / f"{row['name']}.png")
        assert (row["width_px"], row["height_px"]) == ("64", "48")
        assert float(row["area_mm2"]) == pytest.approx(mask.sum() * 0.02)
        labels = picture(tmp_path / f"out/{row['name']}.labels.png")
        clusters = [
            r for r in read_table(tmp_path, "measures_clusters.csv") if r["name"] == row["name"]
        ]
        for found, expected in zip(
            clusters, measure_labels(labels, image, (0.2, 0.1)), strict=True
        ):
            assert found["cluster"] == str(expected.pop("label"))
            assert agree(found, expected | {"pixel_size_from": "option"})
        assert {r["is_target"] for r in clusters} == {"0", "1"}
        parts = picture(tmp_path / f"out/{row['name']}.instances.png")
        assert np.array_equal(parts > 0, mask)
        instances = [
            r for r in read_table(tmp_path, "measures_instances.csv") if r["name"] == row["name"]
        ]
        assert [r["instance"] for r in instances] == [str(n + 1) for n in range(parts.max())]
        assert sum(int(r["area_px"]) for r in instances) == mask.sum()


def test_python_agrees(tmp_path: Path) -> None:
    save_lesion(tmp_path / "a.png")
    options = OutputOptions(pixel_size=(0.5, 0.5), measure_clusters=True, instances=True)
    run(tmp_path, tmp_path / "a.png", output=options)
    result = s3.segment(tmp_path / "a.png", config=CONFIG)
    target = result.measure(pixel_size=0.5)
    assert isinstance(target, dict) and agree(read_table(tmp_path)[0], target)
    for of in ("clusters", "instances"):
        found = result.measure(of, pixel_size=(0.5, 0.5))
        for row, expected in zip(read_table(tmp_path, f"measures_{of}.csv"), found, strict=True):
            assert isinstance(expected, dict) and agree(row, expected)
    assert np.array_equal(result.instances(), picture(tmp_path / "out/a.instances.png"))
    unknown = result.measure()
    assert isinstance(unknown, dict) and unknown["area_mm2"] is None
    with pytest.raises(ValueError, match=r"of can't be 'cluster'\. Did you mean clusters"):
        result.measure("cluster")
    with pytest.raises(ValueError, match="pixel size can't be 0"):
        result.measure(pixel_size=0)


def test_an_empty_mask_is_a_row(tmp_path: Path, monkeypatch) -> None:
    save_lesion(tmp_path / "a.png")
    monkeypatch.setattr("s3net_jax.run.cases.find_segments", find_nothing)
    options = OutputOptions(instances=True, export=("geojson", "coco"))
    run(tmp_path, tmp_path / "a.png", output=options)
    (row,) = read_table(tmp_path)
    assert row["area_px"] == row["area_fraction"] == "0"
    assert row["centroid_x_px"] == row["area_mm2"] == row["mean_red"] == row["perimeter_px"] == ""
    assert read_table(tmp_path, "measures_instances.csv") == []
    assert json.loads((tmp_path / "out/a.outlines.geojson").read_text())["features"] == []
    coco = json.loads((tmp_path / "out/coco.json").read_text())
    assert len(coco["images"]) == 1 and coco["annotations"] == []


def find_nothing(labels: np.ndarray, *_: Any) -> Any:
    from s3net_jax.masks import Segments

    return Segments(labels, np.zeros(labels.shape, bool), ())


def test_tiff(tmp_path: Path) -> None:
    save_lesion(tmp_path / "x.png")
    image = picture(tmp_path / "x.png")
    tifffile.imwrite(
        tmp_path / "a.tif", image, resolution=(50, 25), resolutionunit="CENTIMETER", metadata=None
    )
    run(tmp_path, tmp_path / "a.tif", output=OutputOptions())
    (row,) = read_table(tmp_path)
    assert (row["pixel_width_mm"], row["pixel_height_mm"]) == ("0.2", "0.4")
    assert row["pixel_size_from"] == "TIFF"
    assert float(row["area_mm2"]) == pytest.approx(0.08 * int(row["area_px"]))
    result = s3.segment(tmp_path / "a.tif", config=CONFIG).measure()
    assert isinstance(result, dict) and agree(row, result)


def test_nifti_and_python(tmp_path: Path) -> None:
    pytest.importorskip("nibabel")
    values, _ = ball()
    save_nifti(tmp_path / "a.nii.gz", values)
    config = CONFIG.replace(segment={"target": "dark"})
    run(tmp_path, tmp_path / "a.nii.gz", config=config, output=OutputOptions(instances=True))
    (row,) = read_table(tmp_path)
    mask = read_array(tmp_path / "out/a.mask.nii.gz") > 0
    affine = read_nifti(tmp_path / "a.nii.gz").affine
    assert affine is not None and mask.any()
    cubic = abs(np.linalg.det(affine[:3, :3])) * mask.sum()
    assert float(row["volume_mm3"]) == pytest.approx(cubic, rel=1e-5)
    assert float(row["volume_ml"]) == pytest.approx(cubic / 1000, rel=1e-5)
    assert float(row["mean_value"]) == pytest.approx(values[mask].mean(), rel=1e-5)
    assert row["slices"] == str(lines(tmp_path)[0]["depth"]) and "area_px" not in row
    corners = np.argwhere(mask)[:, None] + np.array([*np.ndindex(2, 2, 2)])
    points = corners.reshape(-1, 3) @ affine[:3, :3].T
    largest = max(np.linalg.norm(points - point, axis=1).max() for point in points[::7])
    assert largest <= float(row["feret_max_mm"]) * 1.00001 <= 1.02 * largest
    parts = read_array(tmp_path / "out/a.instances.nii.gz")
    assert np.array_equal(parts > 0, mask)
    result = s3.segment_volume(tmp_path / "a.nii.gz", config=config)
    found = result.measure()
    assert isinstance(found, dict) and agree(row, found)
    assert len(result.measure("instances")) == parts.max()


def test_dicom_has_hounsfield_units(tmp_path: Path) -> None:
    for package in ("pydicom", "nibabel"):
        pytest.importorskip(package)
    values, _ = ball()
    save_dicom(tmp_path / "series", values)
    save_dicom(tmp_path / "slice", values[..., 4:5])
    config = CONFIG.replace(segment={"target": "dark"})
    run(tmp_path, tmp_path / "series", tmp_path / "slice", config=config, output=OutputOptions())
    flat, solid = sorted(read_table(tmp_path), key=lambda row: int(row["slices"]))
    mask = read_array(tmp_path / "out" / f"{solid['name']}.mask.nii.gz") > 0
    assert float(solid["volume_mm3"]) == pytest.approx(mask.sum() * 2.5 * 0.8 * 0.7, rel=1e-5)
    assert float(solid["mean_hu"]) == pytest.approx(values[mask].mean(), rel=1e-4)
    assert (solid["slice_distance_mm"], solid["pixel_size_from"]) == ("2.5", "DICOM")
    assert solid["area_px"] == "" and flat["volume_voxels"] == "", "one slice has an area"
    assert float(flat["area_mm2"]) == pytest.approx(int(flat["area_px"]) * 0.56, rel=1e-5)
    assert float(flat["mean_hu"]) == pytest.approx(-800, abs=20) and float(flat["sd_hu"]) > 0


def test_exports(tmp_path: Path) -> None:
    save_lesion(tmp_path / "a.png")
    pages = np.stack([picture(tmp_path / "a.png")[..., 0]] * 3)
    tifffile.imwrite(tmp_path / "s.tif", pages, photometric="minisblack")
    formats = ("geojson", "coco") if not has_roifile() else ("geojson", "coco", "imagej")
    run(tmp_path, tmp_path / "a.png", tmp_path / "s.tif", output=OutputOptions(export=formats))
    mask = picture(tmp_path / "out/a.mask.png") > 0
    content = json.loads((tmp_path / "out/a.outlines.geojson").read_text())
    assert len(content["features"]) == 1
    content = json.loads((tmp_path / "out/s.outlines.geojson").read_text())
    assert {one["geometry"]["plane"]["z"] for one in content["features"]} == {0, 1, 2}
    coco = json.loads((tmp_path / "out/coco.json").read_text())
    assert [one["file_name"] for one in coco["images"]] == ["a.png"]
    assert [one["area"] for one in coco["annotations"]] == [mask.sum()]
    assert ("rois" in lines(tmp_path)[0]["outputs"]) == has_roifile()
    notes = {record["stem"]: record["notes"] for record in lines(tmp_path)}
    assert notes["a"] == []
    assert notes["s"][-1].endswith("is a volume and is not exported as coco; use its mask file.")


def has_roifile() -> bool:
    from importlib.util import find_spec

    return find_spec("roifile") is not None


def test_clusters_of_every_kind(tmp_path: Path) -> None:
    """Tiles, and a volume, are merged as a whole; three clusters are all that the fit finds."""
    save_lesion(tmp_path / "a.png")
    pages = np.stack([picture(tmp_path / "a.png")[..., 0]] * 3)
    tifffile.imwrite(tmp_path / "s.tif", pages, photometric="minisblack")
    config = CONFIG.replace(segment={"clusters": 2}, input={"tile": 32})
    run(tmp_path, tmp_path / "a.png", tmp_path / "s.tif", config=config)
    assert [record["labels"] for record in lines(tmp_path)] == [2, 2]
    assert np.unique(picture(tmp_path / "out/a.labels.png")).tolist() == [0, 1]


def test_too_many_instances(tmp_path: Path, monkeypatch) -> None:
    save_lesion(tmp_path / "a.png")
    monkeypatch.setattr("s3net_jax.run.measuring._MOST", 0)
    summary = run(tmp_path, tmp_path / "a.png", output=OutputOptions(instances=True))
    assert summary.failed == 1
    assert "a.png has 1 instances, more than the 0" in summary.failures[0]
