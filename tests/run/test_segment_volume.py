"""Volumes from Python: the same label maps as the command, on the grid of what was given."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PilImage

import s3net_jax as s3
from s3net_jax.cli.display import QuietDisplay
from s3net_jax.run import LocalEngine, segment_inputs
from tests.fakes import install_fit
from tests.pictures import save_lesion
from tests.volumes import OBLIQUE, ball, save_dicom, save_nifti

CONFIG = s3.preset("fast").replace(input={"size": 32}, fit={"steps": 2})
BEST = s3.preset("best").replace(input={"size": 32}, fit={"steps": 2, "members": 2})
segment: Callable[..., s3.VolumeSegmentation] = s3.segment_volume


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    install_fit(monkeypatch)


def run_command(path: Path, config: s3.Config, suffix: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels and mask that a run writes."""
    out = path.parent / "out"
    segment_inputs([path], out, config, engine=LocalEngine(config), listener=QuietDisplay())
    (labels,), (mask,) = (list(out.glob(f"*.{kind}{suffix}")) for kind in ("labels", "mask"))
    if suffix == ".tif":
        import tifffile

        return tifffile.imread(labels), tifffile.imread(mask) > 0
    nib = pytest.importorskip("nibabel")
    read = [np.asarray(nib.load(file).dataobj) for file in (labels, mask)]
    return read[0], read[1] > 0


@pytest.mark.slow
@pytest.mark.parametrize("config", [CONFIG, BEST], ids=["clusters", "proposals"])
@pytest.mark.parametrize("axis", ["auto", "sagittal"])
def test_nifti_as_the_command_has_it(tmp_path: Path, config: s3.Config, axis: str) -> None:
    nib = pytest.importorskip("nibabel")
    values, truth = ball()
    path = tmp_path / "scan.nii.gz"
    save_nifti(path, values, scl_slope=2.0, scl_inter=-5.0)
    config = config.replace(input={"axis": axis, "window": "-1000,400"})
    labels, mask = run_command(path, config, ".nii.gz")
    image = nib.load(path)
    found = [segment(path, config=config), segment(str(path), config=config)]
    found.append(segment(image, config=config))
    found.append(segment(nib.Nifti1Image(image.get_fdata(), None, image.header), config=config))
    for result in found:
        np.testing.assert_array_equal(result.labels, labels)
        np.testing.assert_array_equal(result.mask, mask)
        assert result.labels.shape == truth.shape and result.labels.dtype == np.int32
        assert result.affine is not None
        np.testing.assert_allclose(result.affine, OBLIQUE, atol=1e-5)


def test_a_dicom_series_is_a_volume(tmp_path: Path) -> None:
    pytest.importorskip("pydicom")
    values, _ = ball()
    save_dicom(tmp_path / "series", values)
    labels, mask = run_command(tmp_path / "series", CONFIG, ".nii.gz")
    result = segment(tmp_path / "series", config=CONFIG)
    np.testing.assert_array_equal(result.labels, labels)
    np.testing.assert_array_equal(result.mask, mask)


def test_a_stack_and_its_array_are_one(tmp_path: Path) -> None:
    import tifffile

    values = np.moveaxis(ball()[0], 2, 0)
    tifffile.imwrite(tmp_path / "stack.tif", values, metadata={"axes": "ZYX"})
    labels, mask = run_command(tmp_path / "stack.tif", CONFIG, ".tif")
    for given in (tmp_path / "stack.tif", values, values.astype(np.float64)):
        result = segment(given, config=CONFIG)
        np.testing.assert_array_equal(result.labels, labels)
        np.testing.assert_array_equal(result.mask, mask)
        assert result.affine is None


def test_arrays_have_axes_and_spacing() -> None:
    pytest.importorskip("nibabel")
    values = np.ascontiguousarray(np.moveaxis(ball((20, 24, 16))[0], 2, 0))
    plain = segment(values, config=CONFIG)
    spaced = segment(values, spacing=(1, 5, 0.5), config=CONFIG)
    np.testing.assert_array_equal(spaced.labels, plain.labels)  # slices along Z, whatever it is
    assert plain.affine is None and spaced.affine is not None
    np.testing.assert_array_equal(spaced.affine @ [1, 2, 3, 1], [-1.5, -10, 1, 1])
    across = segment(values, axis="coronal", config=CONFIG)
    assert across.labels.shape == values.shape and across.target
    # Cut along Y and seen from the front, with the head at the top.
    turned = segment(np.moveaxis(values, 1, 0)[::-1, ::-1], config=CONFIG)
    back = np.moveaxis(turned.labels[::-1, ::-1], 0, 1)
    np.testing.assert_array_equal(across.labels > 0, back > 0)


def test_colours_and_four_dimensions(tmp_path: Path) -> None:
    nib = pytest.importorskip("nibabel")
    values = ball()[0]
    grey = ((values + 900) / 4).astype(np.uint8)
    color = segment(np.repeat(np.moveaxis(grey, 2, 0)[..., None], 3, -1), config=CONFIG)
    assert color.labels.shape == (9, 20, 24)
    several = np.stack([values, values * 0], -1).astype(np.float32)
    several[0, 0, 0, 0] = np.nan
    image = nib.Nifti1Image(several, OBLIQUE)
    result = segment(image, config=CONFIG)
    assert result.notes[0] == "The nibabel image holds 2 volumes; only the first is segmented."
    assert "has 1 voxels that are NaN or infinite; they count as -820." in result.notes[1]
    nib.save(image, tmp_path / "a.nii")
    np.testing.assert_array_equal(segment(tmp_path / "a.nii", config=CONFIG).labels, result.labels)


def test_arguments_reach_the_configuration() -> None:
    values = np.moveaxis(ball()[0], 2, 0)
    bright = segment(values, config=CONFIG, target="bright", window=(-900, 100), size=48)
    changes = {"input": {"size": 48, "window": "-900,100"}, "segment": {"target": "bright"}}
    expected = segment(values, config=CONFIG.replace(**changes))
    np.testing.assert_array_equal(bright.mask, expected.mask)
    assert (bright.labels != segment(values, config=CONFIG).labels).any()
    assert re.fullmatch(
        r"VolumeSegmentation\(9×20×24 voxels, \d clusters, target .* %.* s\)", repr(bright)
    )


VALUES = np.zeros((9, 20, 24))


@pytest.mark.parametrize(
    ("given", "more", "kind", "message"),
    [
        ("a.png", {}, s3.InputError, "a.png is a picture, not a volume: use s3net_jax.segment."),
        (".", {}, s3.InputError, "holds 2 images and volumes, a.png, b.png: give one of them"),
        ("none.nii", {}, s3.InputError, "none.nii"),
        ("a.png", {"spacing": (1, 1, 1)}, TypeError, "A file has its own spacing"),
        (VALUES, {"spacing": (1, 0, 1)}, ValueError, "spacing can't be (1, 0, 1): give three"),
        (VALUES, {"spacing": 2.0}, ValueError, "spacing can't be 2.0: give three positive"),
        (VALUES, {}, s3.InputError, "nothing to segment"),
        (VALUES[0], {}, s3.InputError, "The array has shape (20, 24) and dtype float64"),
        (VALUES.astype(str), {}, s3.InputError, "a volume needs a numeric dtype"),
        (VALUES * np.nan, {}, s3.InputError, "NaN or infinite"),
        ([[1], [2, 3]], {}, s3.InputError, "The array cannot be converted to a numeric array"),
        (VALUES, {"axis": "z"}, s3.ConfigError, "input.axis can't be 'z'"),
        (VALUES, {"target": "drak"}, s3.ConfigError, "Did you mean dark?"),
        (VALUES, {"spacin": 1}, TypeError, "no argument 'spacin'. Did you mean spacing"),
        (VALUES, {"tile": 64}, TypeError, "no argument 'tile'"),
        (ball()[0], {"target": "point:99,0"}, s3.InputError, "the point 99,0"),
    ],
)
def test_mistakes_are_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: Any,
    more: dict[str, Any],
    kind: type[Exception],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    save_lesion(tmp_path / "a.png")
    PilImage.open(tmp_path / "a.png").save(tmp_path / "b.png")
    with pytest.raises(kind, match=re.escape(message)):
        segment(given, config=CONFIG, **more)


def test_a_slice_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory")

    install_fit(monkeypatch, fail)
    with pytest.raises(RuntimeError, match=r"^slice 1 of The array ran out of memory"):
        segment(np.moveaxis(ball()[0], 2, 0), config=CONFIG)
