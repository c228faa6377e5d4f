"""Volumes are saved with the geometry of the file that their layer was read from."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import s3net_jax as s3
from s3net_jax.io import read_stack
from s3net_jax.napari import Cut, find_layout, find_origin
from tests.fakes import install_fit
from tests.napari.scenes import segment
from tests.volumes import OBLIQUE, ball, save_dicom, save_nifti

VALUES, _ = ball((20, 24, 5))


def turn(values: np.ndarray) -> np.ndarray:
    """Turn the axes of a file as a plugin may: slices first, rows upside down."""
    return np.transpose(values, (2, 1, 0))[:, ::-1]


def make_cut(path: Path, values: np.ndarray = VALUES) -> Cut:
    return Cut("scan", turn(values).astype(np.float64), "volume", path=str(path))


@pytest.mark.parametrize("shape", [(3, 4, 5), (4, 4, 4), (3, 4, 5, 3)])
def test_every_layout_is_found(shape: tuple[int, ...]) -> None:
    voxels = np.random.default_rng(0).integers(-900, 900, shape).astype(np.int16)
    rest = tuple(range(3, len(shape)))
    for order, flips in itertools.product(
        itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)
    ):
        steps = tuple(slice(None, None, step) for step in flips)
        values = np.transpose(voxels, (*order, *rest))[steps] * 0.5 + 7  # stored numbers
        layout = find_layout(values, voxels)
        assert layout is not None
        part = np.arange(values[..., 0].size if rest else values.size).reshape(values.shape[:3])
        again = np.transpose(layout.restore(part), order)[steps]
        np.testing.assert_array_equal(again, part)


def test_other_voxels_have_no_layout() -> None:
    voxels = np.random.default_rng(0).random((3, 4, 5), np.float32)
    other = voxels.copy()
    other[1, 2, 3] += 0.5
    assert find_layout(other, voxels) is None
    assert find_layout(voxels[:2], voxels) is None and find_layout(0 * voxels, voxels) is None
    gone = voxels.copy()
    gone[1, 2, 3] = np.nan  # which a reader replaces
    assert find_layout(gone, voxels) is not None


def test_nifti_keeps_its_geometry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nibabel = pytest.importorskip("nibabel")
    install_fit(monkeypatch)
    path = tmp_path / "scan.nii.gz"
    save_nifti(path, VALUES)
    session = segment(make_cut(path))
    saved = session.save(tmp_path / "out", "scan")
    names = ["scan.labels.nii.gz", "scan.mask.nii.gz", "scan.overlay.png"]
    assert [one.name for one in saved] == names and not session.save_notes
    mask, labels = (nibabel.load(tmp_path / "out" / name) for name in (names[1], names[0]))
    np.testing.assert_allclose(mask.affine, OBLIQUE, atol=1e-5)
    np.testing.assert_array_equal(turn(np.asarray(mask.dataobj)) > 0, session.mask)
    np.testing.assert_array_equal(turn(np.asarray(labels.dataobj)), session.clusters)
    assert session.mask.any() and not session.mask.all()
    with pytest.raises(s3.OutputError, match="exists: choose another folder"):
        session.save(tmp_path / "out", "scan")
    session.save(tmp_path / "out", "scan", overwrite=True)


@pytest.mark.parametrize("is_file", [False, True])
def test_dicom_is_saved_as_a_segmentation_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_file: bool
) -> None:
    nibabel = pytest.importorskip("nibabel")
    highdicom = pytest.importorskip("highdicom")
    install_fit(monkeypatch)
    files = save_dicom(tmp_path / "series", VALUES)
    session = segment(make_cut(files[0] if is_file else tmp_path / "series"))
    saved = session.save(tmp_path / "out", "scan")
    assert [one.name for one in saved] == [
        *("scan.labels.nii.gz", "scan.mask.nii.gz", "scan.overlay.png", "scan.seg.dcm")
    ]
    mask = np.asarray(nibabel.load(tmp_path / "out/scan.mask.nii.gz").dataobj) > 0
    np.testing.assert_array_equal(turn(mask), session.mask)
    found = highdicom.seg.segread(str(tmp_path / "out/scan.seg.dcm"))
    volume = found.get_volume(segment_numbers=[1]).array[..., 0]
    assert np.count_nonzero(volume) == np.count_nonzero(session.mask)


def test_a_layer_without_its_file_is_saved_as_tiff(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("nibabel")
    install_fit(monkeypatch)
    path = tmp_path / "scan.nii.gz"
    save_nifti(path, VALUES + np.arange(5, dtype=np.int16))  # the layer was changed
    session = segment(make_cut(path))
    saved = session.save(tmp_path / "out", "scan")
    assert [one.name for one in saved] == ["scan.labels.tif", "scan.mask.tif", "scan.overlay.png"]
    (note,) = session.save_notes
    assert "scan is saved as TIFF, without a geometry" in note and "has other voxels" in note
    mask = read_stack(tmp_path / "out/scan.mask.tif").voxels > 0
    np.testing.assert_array_equal(mask, session.mask)
    path.unlink()
    session.save(tmp_path / "out", "scan", overwrite=True)
    assert "scan.nii.gz" in session.save_notes[0]


def test_other_files_have_no_geometry(tmp_path: Path) -> None:
    cut = make_cut(tmp_path / "stack.tif")
    assert find_origin(cut) is None and find_origin(replace(cut, path=None)) is None
    (tmp_path / "folder").mkdir()
    assert find_origin(replace(cut, path=str(tmp_path / "folder"))) is None
