"""Test whole runs on volumes, stacks, tiles and ensembles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PilImage

from s3net_jax.cli.display import QuietDisplay
from s3net_jax.run import LocalEngine, Summary, segment_inputs
from tests.fakes import install_fit
from tests.pictures import save_lesion
from tests.run import small
from tests.run.small import CONFIG
from tests.volumes import OBLIQUE, ball, save_dicom, save_nifti


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    install_fit(monkeypatch)


def run(tmp_path: Path, *inputs: Path, **options: Any) -> Summary:
    return small.run(tmp_path, *inputs, **{"batch": None, **options})


def record(tmp_path: Path) -> dict[str, Any]:
    return json.loads((tmp_path / "out/results.jsonl").read_text().splitlines()[-1])


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * np.sum(a & b) / (a.sum() + b.sum())


@pytest.mark.parametrize("axis", ["auto", "coronal", "sagittal"])
def test_a_nifti_volume_comes_back_in_its_own_geometry(tmp_path: Path, axis) -> None:
    nib = pytest.importorskip("nibabel")
    values, truth = ball((36, 40, 12))
    save_nifti(tmp_path / "scan.nii.gz", values)
    config = CONFIG.replace(input={"axis": axis, "window": "-1000,200"})
    assert run(tmp_path, tmp_path / "scan.nii.gz", config=config).done == 1
    mask = nib.load(tmp_path / "out/scan.mask.nii.gz")
    labels = nib.load(tmp_path / "out/scan.labels.nii.gz")
    np.testing.assert_allclose(mask.affine, OBLIQUE, atol=1e-5)
    assert mask.shape == labels.shape == values.shape
    found = np.asarray(mask.dataobj) > 0
    assert dice(found, truth) > (0.9 if axis == "auto" else 0.8)
    inside = np.asarray(labels.dataobj)[truth & found]
    # Resampling mixes dark and bright at the rim, which becomes a separate cluster.
    assert np.mean(inside == np.bincount(inside).argmax()) > 0.9, "one label through all slices"
    line = record(tmp_path)
    assert line["depth"] == line["pieces"] == {"auto": 12, "coronal": 36, "sagittal": 40}[axis]
    assert line["outputs"]["mask"] == "scan.mask.nii.gz"
    assert (tmp_path / "out/scan.overlay.png").exists()
    assert run(tmp_path, tmp_path / "scan.nii.gz", config=config).skipped == 1


@pytest.mark.slow
def test_a_dicom_series_comes_back_as_nifti_and_seg(tmp_path: Path) -> None:
    nib = pytest.importorskip("nibabel")
    pytest.importorskip("highdicom")
    values, truth = ball((36, 40, 6))
    save_dicom(tmp_path / "ct.1", values)
    assert run(tmp_path, tmp_path / "ct.1").done == 1
    mask = np.asarray(nib.load(tmp_path / "out/ct.1.mask.nii.gz").dataobj)
    assert dice(mask > 0, truth) > 0.9
    assert record(tmp_path)["outputs"]["seg"] == "ct.1.seg.dcm"
    assert (tmp_path / "out/ct.1.seg.dcm").exists() and not record(tmp_path)["notes"]
    assert run(tmp_path, *sorted((tmp_path / "ct.1").iterdir())).skipped == 1, "named one by one"
    save_dicom(tmp_path / "ct.1", values[..., :2])
    assert run(tmp_path, tmp_path / "ct.1", overwrite=True).done == 2, "two series in a folder"


def test_a_stack_comes_back_as_a_stack(tmp_path: Path) -> None:
    values, truth = ball((7, 40, 36))
    pages = [PilImage.fromarray(page.astype(np.int32)) for page in values]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    assert run(tmp_path, tmp_path / "a.tif").done == 1
    with PilImage.open(tmp_path / "out/a.mask.tif") as file:
        assert getattr(file, "n_frames", 1) == 7
        file.seek(3)
        assert dice(np.asarray(file) > 0, truth[3]) > 0.9


def test_blank_slices_are_left_out_and_noted(tmp_path: Path) -> None:
    nib = pytest.importorskip("nibabel")
    values, truth = ball((36, 40, 8))
    values[..., [0, 7]] = -1000
    truth[..., [0, 7]] = False
    save_nifti(tmp_path / "a.nii", values)
    assert run(tmp_path, tmp_path / "a.nii").done == 1
    assert "2 of the 8 slices" in record(tmp_path)["notes"][0]
    assert not np.asarray(nib.load(tmp_path / "out/a.mask.nii.gz").dataobj)[..., 0].any()
    save_nifti(tmp_path / "b.nii", np.zeros((9, 9, 9), np.int16))
    assert run(tmp_path, tmp_path / "b.nii").failed == 1
    assert "only one value in every slice" in record(tmp_path)["error"]


def test_a_large_picture_in_tiles(tmp_path: Path) -> None:
    truth = save_lesion(tmp_path / "a.png", shape=(150, 180))
    config = CONFIG.replace(input={"tile": 64})
    assert run(tmp_path, tmp_path / "a.png", config=config).done == 1
    with PilImage.open(tmp_path / "out/a.mask.png") as file:
        assert dice(np.asarray(file) > 0, truth) > 0.95
    assert record(tmp_path)["pieces"] == 12


@pytest.mark.parametrize("tile", [0, 64])
def test_an_ensemble(tmp_path: Path, tile: int) -> None:
    truth = save_lesion(tmp_path / "a.png", shape=(90, 80))
    config = CONFIG.replace(input={"tile": tile})
    assert run(tmp_path, tmp_path / "a.png", config=config, seeds=3).done == 1
    with PilImage.open(tmp_path / "out/a.agreement.png") as file:
        assert file.size == (80, 90) and np.asarray(file).min() > 80
    with PilImage.open(tmp_path / "out/a.mask.png") as file:
        assert dice(np.asarray(file) > 0, truth) > 0.9
    line = record(tmp_path)
    assert line["seeds"] == 3 and line["agreement"] == 1
    assert run(tmp_path, tmp_path / "a.png", config=config, seeds=3).skipped == 1


@pytest.mark.slow
def test_an_ensemble_of_a_volume(tmp_path: Path) -> None:
    nib = pytest.importorskip("nibabel")
    values, _ = ball((36, 40, 4))
    save_nifti(tmp_path / "a.nii", values)
    assert run(tmp_path, tmp_path / "a.nii", seeds=2, batch=3).done == 1
    agreement = nib.load(tmp_path / "out/a.agreement.nii.gz")
    assert agreement.get_data_dtype() == np.float32 and agreement.shape == values.shape


def test_a_vanished_input_fails_by_itself(tmp_path: Path) -> None:
    for name in "abc":
        save_lesion(tmp_path / f"{name}.png")

    class Vanishing(QuietDisplay):
        def start(self, index: int, source: Any) -> None:
            (tmp_path / "b.png").unlink(missing_ok=True)

    summary = segment_inputs(
        [tmp_path / f"{name}.png" for name in "abc"],
        tmp_path / "out",
        CONFIG,
        engine=LocalEngine(CONFIG, batch=1),
        listener=Vanishing(),
    )
    assert (summary.done, summary.failed) == (2, 1) and "not exist" in summary.failures[0]


def test_without_the_package_a_sentence_says_what_to_install(tmp_path: Path, monkeypatch) -> None:
    import sys

    save_lesion(tmp_path / "good.png")
    (tmp_path / "a.nii").write_bytes(b"x" * 400)
    (tmp_path / "a.dcm").write_bytes(b"x" * 400)
    monkeypatch.setitem(sys.modules, "nibabel", None)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    summary = run(tmp_path, tmp_path)
    assert (summary.done, summary.failed) == (1, 2)
    assert all("pip install 's3net-jax[medical]'" in text for text in summary.failures)
