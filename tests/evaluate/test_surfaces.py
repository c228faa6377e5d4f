"""Distances between surfaces in millimetres, against the definition."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from s3net_jax.criteria import TARGET
from s3net_jax.evaluate import Pair, Score, measure, measure_surfaces, summarise
from s3net_jax.evaluate.scores import read_scores, score_results, write_scores
from s3net_jax.evaluate.surfaces import read_spacing
from s3net_jax.report.tables import build_metric_table
from tests.volumes import OBLIQUE, ball, save_nifti

SPACINGS = [(1.0, 1.0, 1.0), (0.7, 0.7, 5.0), (3.0, 0.5, 1.25)]


def measure_slowly(mask: np.ndarray, truth: np.ndarray, spacing: tuple) -> dict[str, float]:
    """All pairs of surface voxels."""

    def find_surface(found: np.ndarray) -> np.ndarray:
        inside = set(map(tuple, np.argwhere(found)))
        steps = [s for s in product((-1, 0, 1), repeat=found.ndim) if np.abs(s).sum() == 1]
        surface = [
            p for p in sorted(inside) if any(tuple(np.add(p, s)) not in inside for s in steps)
        ]
        return np.array(surface) * spacing

    apart = np.linalg.norm(find_surface(mask)[:, None] - find_surface(truth)[None], axis=-1)
    distances = [*apart.min(1), *apart.min(0)]
    return {
        "hd95_mm": float(np.percentile(distances, 95)),
        "assd_mm": sum(distances) / len(distances),
        "surface_dice": 100 * sum(d <= 3 + 1e-6 for d in distances) / len(distances),
    }


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("seed", range(4))
def test_against_all_pairs(spacing: tuple[float, float, float], seed: int) -> None:
    random = np.random.default_rng(seed)
    shares = random.uniform(0.05, 0.9, 2)
    mask, truth = (random.random((7, 9, 6)) < share for share in shares)
    truth[3, 3, 3] = mask[2, 2, 2] = True
    found, expected = (f(mask, truth, spacing) for f in (measure_surfaces, measure_slowly))
    assert found == pytest.approx(expected, abs=1e-9)
    flat, expected = (f(mask[2], truth[3], spacing[1:]) for f in (measure_surfaces, measure_slowly))
    assert flat == pytest.approx(expected, abs=1e-9)


def test_a_shift_is_as_long_as_the_spacing_says() -> None:
    truth = np.zeros((12, 12, 12), bool)
    truth[3:8, 3:8, 3:8] = True
    for axis in range(3):
        moved = np.roll(truth, 2, axis)
        found = measure_surfaces(moved, truth, (0.5, 1.5, 4.0))
        assert found["hd95_mm"] == pytest.approx(2 * (0.5, 1.5, 4.0)[axis])
        same = measure_surfaces(moved, truth, (1.0, 1.0, 1.0))
        assert same["hd95_mm"] == measure(moved, truth)["hd95"] == 2
    assert measure_surfaces(np.roll(truth, 2, 1), truth, (0.5, 1.5, 4.0))["surface_dice"] == 100
    perfect = {"hd95_mm": 0, "assd_mm": 0, "surface_dice": 100}
    assert measure_surfaces(truth, truth, (0.5, 1.5, 4.0)) == perfect
    empty = measure_surfaces(np.zeros_like(truth), truth, (0.5, 1.5, 4.0))
    assert empty["hd95_mm"] == empty["assd_mm"] == pytest.approx(12 * np.sqrt(0.25 + 2.25 + 16))
    assert empty["surface_dice"] == 0


def test_voxel_sizes(tmp_path: Path) -> None:
    pytest.importorskip("nibabel")
    values, _ = ball()

    def read(affine: np.ndarray) -> tuple[float, ...] | None:
        save_nifti(tmp_path / "a.nii.gz", values, affine)
        return read_spacing(Pair("a", tmp_path / "a.nii.gz", tmp_path / "t", "nifti"))

    sides = np.linalg.norm(OBLIQUE[:3, :3], axis=0)
    assert read(np.diag([0.7, 0.8, 2.5, 1])) == pytest.approx((0.7, 0.8, 2.5))
    turned = np.array([[0, 2, 0, 0], [-1, 0, 0, 0], [0, 0, -3, 0], [0, 0, 0, 1.0]])
    assert read(turned) == pytest.approx((1, 2, 3))
    sheared = np.diag([*sides, 1.0])
    sheared[1, 2] = 1.0
    assert read(sheared) is None
    assert read_spacing(Pair("a", tmp_path / "a.png", tmp_path / "t")) is None
    assert read_spacing(Pair("a", tmp_path / "missing.nii", tmp_path / "t", "nifti")) is None


def test_the_voxel_size_of_a_stack(tmp_path: Path) -> None:
    import tifffile

    path = tmp_path / "a.tif"
    pages = np.moveaxis(ball()[0], 2, 0)
    metadata = {"axes": "ZYX", "spacing": 2.5, "unit": "mm"}
    tifffile.imwrite(path, pages, imagej=True, resolution=(2, 4), metadata=metadata)
    assert read_spacing(Pair("a", path, path, "stack")) == pytest.approx((2.5, 0.25, 0.5))
    tifffile.imwrite(path, pages, metadata={"axes": "ZYX"})
    assert read_spacing(Pair("a", path, path, "stack")) is None


def test_scores_of_a_volume_have_them(tmp_path: Path) -> None:
    pytest.importorskip("nibabel")
    _, truth = ball()
    mask = np.roll(truth, 1, 2)
    affine = np.diag([0.5, 0.5, 4.0, 1])
    for name, content in (("image", truth), ("truth", truth), ("mask", mask), ("labels", mask)):
        save_nifti(tmp_path / f"{name}.nii.gz", content.astype(np.uint8), affine)
    pair = Pair("image", tmp_path / "image.nii.gz", tmp_path / "truth.nii.gz", "nifti")
    outputs = {kind: f"{kind}.nii.gz" for kind in ("mask", "labels")}
    records = {str(pair.image): {"outputs": outputs, "seconds": 1.0}}
    scores = score_results("ours", [pair], records, tmp_path)
    found = {score.protocol: score.metrics for score in scores}
    expected = measure_slowly(mask, truth, (0.5, 0.5, 4.0))
    for name, value in expected.items():
        assert found["blind"][name] == found["oracle"][name] == pytest.approx(value, abs=1e-4)
    assert set(found["released"]) == {*TARGET.metrics, *TARGET.surfaces}
    # Beside a picture, which has none of them.
    plain = [Score("other", "b", s.protocol, dict.fromkeys(TARGET.metrics, 1.0), 1) for s in scores]
    write_scores(tmp_path / "metrics.csv", scores + plain)
    head = (tmp_path / "metrics.csv").read_text().splitlines()[0]
    assert head.endswith("boundary_f,hd95_mm,assd_mm,surface_dice,seconds")
    assert read_scores(tmp_path / "metrics.csv") == scores + plain
    methods = summarise(scores + plain, "ours")["methods"]
    assert methods["ours"]["protocols"]["blind"]["assd_mm"]["count"] == 1
    assert "assd_mm" not in methods["other"]["protocols"]["blind"]
    table = build_metric_table(methods, TARGET, "blind")
    assert "ASSD (mm) ↓" in table and "HD95 (mm)" in table
    only = build_metric_table({"other": methods["other"]}, TARGET, "blind")
    assert "mm" not in only.replace("HD95 (pixels)", "")
